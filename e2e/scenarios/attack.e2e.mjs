// A page on another workspace's port tries everything a page can against a private port that its
// visitor may open and has a session for. The dev server must not hear one byte of it.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { attack } from '../lib/attack.mjs';
import { shot } from '../lib/browser.mjs';
import { eventually } from '../lib/wait.mjs';
import { document } from '../lib/upstreams.mjs';
import { openWorld, visit, WAYS } from '../lib/world.mjs';

for (const { way, slug, tls } of WAYS) {
  describe(`a page of another workspace over ${way}`, () => {
    let world, alice, victim, evil, friend, victimOrigin;
    before(async () => {
      world = await openWorld({ tls, name: `attack-${slug}` });
      alice = await world.person('alice');
      await world.person('mallory');
      await world.workspace('alpha', 'alice');
      await world.workspace('evil', 'mallory');
      const pages = { '/top-level-post': document('posted', '<h1>posted</h1>') };
      victim = await world.devServer({ title: 'private', pages });
      friend = await world.devServer({ title: 'sibling' });
      evil = await world.devServer({ title: 'evil' });
      await world.gateway.cli('share', 'set', 'evil', String(evil.port), 'public');

      victimOrigin = world.gateway.origin(victim.port, 'alpha');
      const page = await alice.newPage();
      await visit(page, `${victimOrigin}/`); // a live session for the port under attack
      await page.getByRole('heading', { name: 'private' }).waitFor();
      await page.close();
    });
    after(() => world?.close());

    /** Alice opens the attacking page, which is public. */
    async function evilPage() {
      const page = await alice.newPage();
      await eventually('the public share to take effect', async () => {
        await page.goto(`${world.gateway.origin(evil.port, 'evil')}/`);
        return (await page.title()) === 'evil';
      });
      return page;
    }

    it('reaches nothing by fetch, img, script, iframe, form, beacon, WebSocket or EventSource', async () => {
      const before = victim.bytes().length;
      const page = await evilPage();
      const outcomes = await attack(page, victimOrigin);
      await shot(page, `attack-${slug}`);
      assert.equal(victim.bytes().slice(before), '', JSON.stringify(outcomes));
      for (const kind of ['fetchCors', 'fetchPut', 'image', 'script', 'socket', 'events']) {
        assert.equal(outcomes[kind], 'refused', kind);
      }
      await page.close();
    });

    it('reaches nothing by a form that takes the whole window', async () => {
      const before = victim.bytes().length;
      const page = await evilPage();
      const answer = page.waitForResponse((r) => r.url().startsWith(victimOrigin));
      await page.evaluate((action) => {
        const form = Object.assign(document.createElement('form'), { method: 'post', action });
        document.body.append(form);
        form.submit();
      }, `${victimOrigin}/top-level-post`);
      assert.equal((await answer).status(), 403);
      await page.waitForLoadState();
      await shot(page, `attack-${slug}-403`);
      assert.equal(victim.bytes().slice(before), '');
      await page.close();
    });

    it('may link to the port: that opens it, as its owner', async () => {
      const page = await evilPage();
      await page.evaluate((href) => { location.href = href; }, `${victimOrigin}/?linked`);
      await page.getByRole('heading', { name: 'private' }).waitFor();
      await page.close();
    });

    it('a port of the same workspace may do what other workspaces may not', async () => {
      const page = await alice.newPage();
      await page.goto(`${world.gateway.origin(friend.port, 'alpha')}/`);
      await page.getByRole('heading', { name: 'sibling' }).waitFor();
      const outcomes = await attack(page, victimOrigin);
      for (const path of ['/attack/fetch-no-cors', '/pixel.svg', '/attack/frame', '/attack/form-post', '/echo']) {
        assert.ok(victim.to(path).length > 0, `${path}: ${JSON.stringify(outcomes)}`);
      }
      await page.close();
    });

    it('nothing of a login reached any dev server', () => {
      for (const server of [victim, friend, evil]) {
        assert.doesNotMatch(server.bytes(), /__Host-portway|portway_login/i);
      }
    });
  });
}
