// The stage itself, without a gateway: Chromium reaches dev servers, and certificates are checked.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { attack, PATHS } from '../lib/attack.mjs';
import { makeAuthority } from '../lib/ca.mjs';
import { shot, startBrowser } from '../lib/browser.mjs';
import { startDevServer } from '../lib/upstreams.mjs';

describe('the stage', () => {
  let authority, browser, plain, secure;
  before(async () => {
    authority = makeAuthority();
    browser = await startBrowser({ caFile: authority.caFile });
    plain = await startDevServer({ title: 'plain' });
    secure = await startDevServer({ title: 'secure', tls: authority });
  });
  after(async () => {
    await browser?.close();
    await plain?.stop();
    await secure?.stop();
    authority?.remove();
  });

  it('names under portway.localhost reach loopback and are a secure context', async () => {
    const page = await (await browser.profile()).newPage();
    await page.goto(`http://3000-a.portway.localhost:${plain.port}/`);
    assert.equal(await page.title(), 'plain');
    assert.equal(await page.evaluate('isSecureContext'), true);
    assert.ok(plain.bytes().startsWith('GET / HTTP/1.1\r\n'));
    await shot(page, 'stage-plain');
  });

  it('every attempt of an attacking page is heard by a server that nothing protects', async () => {
    const victim = await startDevServer();
    try {
      const page = await (await browser.profile()).newPage();
      await page.goto(`http://3000-evil.portway.localhost:${plain.port}/`);
      await attack(page, `http://3000-a.portway.localhost:${victim.port}`);
      const heard = new Set(victim.requests.map((request) => request.url.split('?')[0]));
      assert.deepEqual(PATHS.filter((path) => !heard.has(path)), []);
    } finally {
      await victim.stop();
    }
  });

  it('a certificate of the test authority is trusted', async () => {
    const page = await (await browser.profile()).newPage();
    await page.goto(`https://3000-a.hub.test:${secure.port}/`);
    assert.equal(await page.title(), 'secure');
    assert.ok(secure.bytes().startsWith('GET / HTTP/1.1\r\n'));
  });

  it('a certificate of any other authority is refused', async () => {
    const stranger = makeAuthority();
    const other = await startDevServer({ tls: stranger });
    try {
      const page = await (await browser.profile()).newPage();
      await assert.rejects(page.goto(`https://3000-a.hub.test:${other.port}/`), /ERR_CERT/);
      assert.equal(other.requests.length, 0);
    } finally {
      await other.stop();
      stranger.remove();
    }
  });
});
