// A port inside a page of another site: one click gives the frame a session of its own, also where
// other sites' cookies are blocked. And who cannot show a port at all.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { LAPTOP, PHONE, shot } from '../lib/browser.mjs';
import { embedderOrigin, shownIn, startEmbedder } from '../lib/embedder.mjs';
import { freePort } from '../lib/gateway.mjs';
import { document } from '../lib/upstreams.mjs';
import { eventually } from '../lib/wait.mjs';
import { logOut, openWorld, visit, WAYS } from '../lib/world.mjs';

const PASSWORD = 'correct horse battery staple';
/** Other sites' cookies are blocked, whatever this Chromium does by itself. */
const BLOCKING = ['--test-third-party-cookie-phaseout'];

/** Pages of the dev server with something of their own to say about frames. */
const PAGES = {
  '/policy': {
    html: document('policy', '<h1>policy</h1>'),
    headers: { 'Content-Security-Policy': "default-src 'self'; img-src *" },
  },
  '/deny': { html: document('deny', '<h1>deny</h1>'), headers: { 'X-Frame-Options': 'DENY' } },
};

for (const { way, slug, tls } of WAYS) {
  describe(`a port inside a page of another site over ${way}`, () => {
    let world, gateway, alice, server, builder, origin, builderOrigin, outer;
    before(async () => {
      const port = await freePort(); // the gateway must know it beforehand
      builderOrigin = embedderOrigin(tls, port);
      const extra = `[access]\nembed = ["${builderOrigin}"]`;
      world = await openWorld({ tls, args: BLOCKING, name: `iframes-${slug}`, extra });
      gateway = world.gateway;
      builder = await startEmbedder({ port, tls: world.authority });
      alice = await world.person('alice', LAPTOP, PASSWORD);
      await world.workspace('alpha', 'alice');
      server = await world.devServer({ title: 'my app', pages: PAGES });
      origin = gateway.origin(server.port, 'alpha');
      outer = `${builderOrigin}${builder.show(`${origin}/`)}`;
      const tab = await alice.newPage();
      await visit(tab, `${origin}/`);
      await tab.getByRole('heading', { name: 'my app' }).waitFor();
    });
    after(async () => {
      await builder?.stop();
      await world?.close();
    });

    const appIn = (page) => page.frameLocator('[name=app]');
    const button = (page) => appIn(page).getByRole('button', { name: 'Show it here' });

    /** Presses the frame's button; gives the window that opens. */
    async function press(page) {
      const [popup] = await Promise.all([page.waitForEvent('popup'), button(page).click()]);
      return popup;
    }

    /** Waits until a window has closed by itself. */
    const closed = (popup) => eventually('the window to close by itself', () => popup.isClosed());

    it('the browser blocks cookies of other sites, except each in a partition of its own', async () => {
      const sets = ['plain', 'apart'].map((name) =>
        `${name}=1; Path=/; Secure; SameSite=None${name === 'apart' ? '; Partitioned' : ''}`);
      const other = await world.devServer({
        tls: world.authority,
        pages: { '/set': { html: document('set', 'set'), headers: { 'Set-Cookie': sets } } },
      });
      const otherOrigin = `${tls ? 'https://other.hub.test' : 'http://other.portway.localhost'}:${other.port}`;
      const page = await (await world.browser.profile()).newPage();
      await page.goto(`${builderOrigin}${builder.show(`${otherOrigin}/set`)}`);
      await appIn(page).getByText('set').waitFor();
      const headers = await page.frame({ name: 'app' }).evaluate(() => fetch('/headers').then((r) => r.json()));
      assert.equal(headers.cookie, 'apart=1');
    });

    it('the frame shows a page of ours with one button, and the dev server hears nothing', async () => {
      const before = server.requests.length;
      for (const [device, options] of [['laptop-light', LAPTOP], ['phone-dark', PHONE]]) {
        const stranger = await (await world.browser.profile(options)).newPage();
        await stranger.goto(outer);
        await button(stranger).waitFor();
        await shot(stranger, `iframes-${slug}-${device}`);
      }
      assert.equal(server.requests.length, before);
    });

    it('one click, and the frame shows the app, which works inside it', async () => {
      const page = await alice.newPage();
      await page.goto(outer);
      const popup = await press(page);
      await closed(popup);
      await appIn(page).getByRole('heading', { name: 'my app' }).waitFor();
      await worksInside(page);
      await page.close();
    });

    it('it stays after the outer page is loaded again, without a click', async () => {
      const page = await alice.newPage();
      await page.goto(outer);
      await appIn(page).getByRole('heading', { name: 'my app' }).waitFor();
      await page.reload();
      await appIn(page).getByRole('heading', { name: 'my app' }).waitFor();
      await worksInside(page);
      await page.close();
    });

    /** A fetch, a WebSocket and a reload of the frame alone; nothing goes in circles. */
    async function worksInside(page) {
      const frame = page.frame({ name: 'app' });
      const works = await frame.evaluate(async () => {
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/echo`);
        const echoed = await new Promise((resolve) => {
          socket.onopen = () => socket.send('hello');
          socket.onmessage = ({ data }) => resolve(data);
          socket.onerror = () => resolve('refused');
        });
        socket.close();
        const answer = await fetch('/upload', { method: 'POST', body: 'x' });
        return { echoed, status: answer.status };
      });
      assert.deepEqual(works, { echoed: 'hello', status: 200 });
      const loads = server.to('/').length;
      await frame.evaluate(() => { location.reload(); });
      await eventually('the frame to load again', () => server.to('/').length > loads);
      await appIn(page).getByRole('heading', { name: 'my app' }).waitFor();
      assert.equal(server.to('/').length, loads + 1);
    }

    it('not logged in: the window logs in, and says to press the button once more, which works', async () => {
      const page = await (await world.browser.profile()).newPage();
      await page.goto(outer);
      const popup = await press(page);
      await popup.getByLabel(/user name/i).fill('alice');
      await popup.getByLabel(/password/i).fill(PASSWORD);
      await popup.getByRole('button', { name: /log in/i }).click();
      await popup.getByText(/once more/i).waitFor();
      await shot(popup, `iframes-${slug}-once-more`);
      await popup.close();
      await closed(await press(page));
      await appIn(page).getByRole('heading', { name: 'my app' }).waitFor();
      await worksInside(page);
    });

    for (const [what, attributes] of [['', ''], [', and hides who it is', 'referrerpolicy="no-referrer"']]) {
      it(`a page of the same site that is not allowed${what}, shows nothing, cookie or not`, async () => {
        const other = await startEmbedder({ tls: world.authority });
        try {
          const before = server.requests.length;
          const page = await alice.newPage();
          const answer = page.waitForResponse((response) => response.url() === `${origin}/`);
          await page.goto(`${embedderOrigin(tls, other.port)}${other.show(`${origin}/`, attributes)}`);
          assert.equal((await answer).status(), 403);
          assert.doesNotMatch(await shownIn(page), /my app|Show it here/);
          assert.equal(server.requests.length, before);
          await page.close();
        } finally {
          await other.stop();
        }
      });
    }

    it("the app's own policy stays beside ours", async () => {
      const page = await alice.newPage();
      const policy = await page.goto(`${origin}/policy`);
      const policies = (await policy.headersArray()).filter(({ name }) => /^content-security-policy$/i.test(name));
      assert.equal(policies.length, 2, JSON.stringify(policies));
      assert.equal(policies[0].value, "default-src 'self'; img-src *");
      assert.match(policies[1].value, /^frame-ancestors 'self' /);
      assert.ok(policies[1].value.split(' ').includes(builderOrigin));
      await page.close();
    });

    it('an app that refuses frames is not shown in one', async () => {
      const page = await alice.newPage();
      const denied = await page.goto(`${origin}/deny`);
      assert.equal(denied.headers()['x-frame-options'], 'DENY');
      await page.goto(`${builderOrigin}${builder.show(`${origin}/deny`)}`);
      assert.equal(await shownIn(page), '');
      await page.close();
    });

    it('a page of the same workspace shows it without a click, one of another cannot', async () => {
      const show = (title) => ({ '/show': document(title, `<iframe name="app" src="${origin}/"></iframe>`) });
      const own = await world.devServer({ title: 'own', pages: show('own') });
      const evil = await world.devServer({ title: 'evil', pages: show('evil') });
      await world.person('mallory');
      await world.workspace('beta', 'mallory');
      await gateway.cli('share', 'set', 'beta', String(evil.port), 'public');

      const page = await alice.newPage();
      await page.goto(`${gateway.origin(own.port, 'alpha')}/show`);
      await appIn(page).getByRole('heading', { name: 'my app' }).waitFor();

      const before = server.requests.length;
      const evilUrl = `${gateway.origin(evil.port, 'beta')}/show`;
      await eventually('the public share to take effect', async () => {
        await page.goto(evilUrl);
        return (await page.title()) === 'evil';
      });
      assert.doesNotMatch(await shownIn(page), /my app|Show it here/);
      assert.equal(server.requests.length, before);
      await page.close();
    });

    it('logging out ends what frames have, too', async () => {
      const page = await alice.newPage();
      await page.goto(outer);
      await appIn(page).getByRole('heading', { name: 'my app' }).waitFor();
      await logOut(alice, gateway);
      const before = server.requests.length;
      const status = await page.frame({ name: 'app' }).evaluate(() => fetch('/headers').then((r) => r.status));
      assert.equal(status, 401);
      await page.reload();
      await button(page).waitFor();
      assert.equal(server.requests.length, before);
      await page.close();
    });

    it('nothing of a login reached the dev server', () => {
      assert.ok(server.to('/echo').length > 0, 'the app was used at all');
      assert.doesNotMatch(server.bytes().replaceAll('CDN-Loop: portway\r\n', ''), /portway/i);
    });
  });
}
