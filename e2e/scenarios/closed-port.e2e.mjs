// A port with nothing behind it: the page that says so, and that goes away by itself.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { shot } from '../lib/browser.mjs';
import { freePort } from '../lib/gateway.mjs';
import { openWorld, visit, WAYS } from '../lib/world.mjs';

for (const { way, slug, tls } of WAYS) {
  describe(`a closed port over ${way}`, () => {
    let world, page, port, url;
    before(async () => {
      world = await openWorld({ tls, name: `closed-${slug}` });
      const profile = await world.person('alice');
      await world.workspace('alpha', 'alice');
      port = await freePort();
      url = `${world.gateway.origin(port, 'alpha')}/deep/page?x=1`;
      page = await profile.newPage();
    });
    after(() => world?.close());

    it('answers 502 with a page that names the port and what to do', async () => {
      const response = await visit(page, url);
      assert.equal(response.status(), 502);
      assert.equal(response.headers()['cache-control'], 'no-store');
      assert.ok(response.headers()['portway-reason']);
      await page.getByRole('heading', { name: new RegExp(`nothing is listening on port ${port}`, 'i') }).waitFor();
      assert.match(await page.locator('body').innerText(), new RegExp(`port ${port} of this machine\\. Start it, or look which`));
      await shot(page, `closed-${slug}`);
    });

    it('reloads itself when the port opens, at the same address', async () => {
      const pages = { '/deep/page': '<!doctype html><title>up</title><h1>up and running</h1>' };
      await world.devServer({ port, pages });
      await page.getByRole('heading', { name: 'up and running' }).waitFor();
      assert.equal(page.url(), url);
    });

    it('answers a program with JSON', async () => {
      const closed = await freePort();
      const target = `${world.gateway.origin(closed, 'alpha')}/`;
      await page.goto(target);
      const answer = await page.evaluate(async () => {
        const response = await fetch('/api', { headers: { Accept: 'application/json' } });
        return { status: response.status, body: await response.json() };
      });
      assert.equal(answer.status, 502);
      assert.equal(answer.body.error.code, 'port-closed');
    });
  });
}
