// Who may: a second user, the share, the consent page, and every way it ends.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { shot } from '../lib/browser.mjs';
import { eventually, within } from '../lib/wait.mjs';
import { logIn, logOut, openWorld, visit, WAYS } from '../lib/world.mjs';

/** How soon an open stream must end after its right has gone (R53), in milliseconds. */
const CUT = 5000;

/** Opens a WebSocket and an event stream in the page and keeps how they end. */
async function openStreams(page) {
  await page.evaluate(async () => {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/echo`);
    const source = new EventSource('/events');
    await Promise.all([socket, source].map((one) => new Promise((resolve, reject) => {
      one.onopen = resolve;
      one.onerror = () => reject(new Error(`${one.constructor.name} failed`));
    })));
    window.cut = Promise.all([socket, source].map((one) => new Promise((resolve) => {
      one.onclose = one.onerror = () => resolve(one.constructor.name);
    })));
  });
}

/** Waits until both streams of [`openStreams`] have ended; gives the milliseconds it took. */
async function cutWithin(page, limit) {
  const start = Date.now();
  await within('the WebSocket and the event stream to be cut', page.evaluate(() => window.cut), limit);
  return Date.now() - start;
}

for (const { way, slug, tls } of WAYS) {
  describe(`sharing over ${way}`, () => {
    let world, alice, bob, server, url;
    before(async () => {
      world = await openWorld({ tls, name: `sharing-${slug}` });
      alice = await world.person('alice');
      bob = await world.person('bob');
      await world.workspace('alpha', 'alice');
      server = await world.devServer({ title: 'shared app' });
      url = `${world.gateway.origin(server.port, 'alpha')}/`;
    });
    after(() => world?.close());

    /** Opens the port as bob, through the consent page where there is one. */
    async function openAsBob() {
      const page = await bob.newPage();
      await page.goto(url);
      const heading = page.getByRole('heading', { name: 'shared app' });
      const consent = page.getByRole('button', { name: /continue/i });
      await heading.or(consent).waitFor();
      if (await consent.count()) await consent.click();
      await heading.waitFor();
      return page;
    }

    it('another user gets 404, the same for a port that is not shared and for no workspace', async () => {
      const page = await bob.newPage();
      const seen = [];
      await visit(await alice.newPage(), url); // the workspace is known by now
      const before = server.requests.length;
      for (const address of [url, `${world.gateway.origin(server.port, 'nosuch')}/`]) {
        const response = await page.goto(address);
        assert.equal(response.status(), 404);
        // The address itself may be repeated on the page; nothing else may differ.
        seen.push((await page.locator('body').innerText()).replace(/\d+-(alpha|nosuch)/g, ''));
      }
      assert.equal(seen[0], seen[1]);
      await shot(page, `sharing-${slug}-404`);
      assert.equal(server.requests.length, before);
      await page.close();
    });

    it('once shared, a consent page names owner, workspace and port, and nothing is opened yet', async () => {
      await world.gateway.cli('share', 'set', 'alpha', String(server.port), '--user', 'bob');
      const before = server.requests.length;
      const page = await bob.newPage();
      await visit(page, url);
      await page.getByRole('button', { name: /continue/i }).waitFor();
      const text = await page.locator('body').innerText();
      for (const word of ['alice', 'alpha', String(server.port)]) assert.ok(text.includes(word), word);
      assert.equal(new URL(page.url()).origin, world.gateway.control);
      assert.equal(server.requests.length, before);
      await shot(page, `sharing-${slug}-consent`);
      await page.close();
    });

    it('after Continue the port opens at the address asked for', async () => {
      const page = await openAsBob();
      assert.equal(page.url(), url);
      await page.close();
    });

    it('consent is asked once', async () => {
      const page = await bob.newPage();
      await page.goto(url);
      await page.getByRole('heading', { name: 'shared app' }).waitFor();
      await page.close();
    });

    it('logging out cuts open streams and ends the session on the port', async () => {
      const page = await openAsBob();
      await openStreams(page);
      await eventually('both streams to reach the dev server', () => server.open() === 2);
      await logOut(bob, world.gateway);
      await cutWithin(page, CUT);
      await eventually('the dev server to see both streams end', () => server.open() === 0);
      const before = server.requests.length;
      assert.equal(await page.evaluate(() => fetch('/headers').then((r) => r.status)), 401);
      assert.equal(server.requests.length, before);
      await page.close();
    });

    it('unsharing cuts open streams, and the port is 404 again', async () => {
      await logIn(bob, 'bob', await world.gateway.newLink('bob'));
      const page = await openAsBob();
      await openStreams(page);
      await eventually('both streams to reach the dev server', () => server.open() === 2);
      await world.gateway.cli('share', 'remove', 'alpha', String(server.port), '--user', 'bob');
      await cutWithin(page, CUT);
      await eventually('the dev server to see both streams end', () => server.open() === 0);
      const before = server.requests.length;
      assert.equal((await page.goto(url)).status(), 404);
      assert.equal(server.requests.length, before);
      await page.close();
    });

    it('the owner was never cut and needs no consent', async () => {
      const page = await alice.newPage();
      await page.goto(url);
      await page.getByRole('heading', { name: 'shared app' }).waitFor();
      await openStreams(page);
      await page.close();
    });

    it('a public port opens to anybody without a login', async () => {
      await world.gateway.cli('share', 'set', 'alpha', String(server.port), 'public');
      const page = await (await world.browser.profile()).newPage();
      await eventually('the port to be public', async () => {
        await page.goto(url);
        return (await page.title()) === 'shared app';
      });
      assert.equal(page.url(), url);
    });

    it('nothing of a login reached the dev server', () => {
      assert.doesNotMatch(server.bytes(), /__Host-portway|portway_login/i);
    });
  });
}
