// Every page of Portway's own, on a phone in dark mode and on a laptop in light mode: kept as
// pictures, and checked for what a picture cannot fail on: overflow, outside assets, names.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { LAPTOP, PHONE, shot } from '../lib/browser.mjs';
import { freePort } from '../lib/gateway.mjs';
import { openWorld, visit } from '../lib/world.mjs';

const DEVICES = [
  { device: 'phone-dark', options: PHONE },
  { device: 'laptop-light', options: LAPTOP },
];

for (const { device, options } of DEVICES) {
  describe(`pages of our own on a ${device}`, () => {
    let world, alice, bob, server, closed;
    const outside = [];
    before(async () => {
      world = await openWorld({ name: `pages-${device}` });
      alice = await world.person('alice', options);
      bob = await world.person('bob', options);
      await world.workspace('alpha', 'alice');
      await world.workspace('0193e9a4-7a55-7c61-b1f2-2f1f8f1c9d20', 'alice');
      server = await world.devServer();
      closed = await freePort();
      const { gateway } = world;
      await gateway.cli('share', 'set', 'alpha', String(server.port), '--user', 'bob');
      await gateway.cli('share', 'set', 'alpha', '5000', 'authenticated');
      await gateway.cli('share', 'set', 'alpha', '8443', 'public');
      await gateway.cli('token', 'create', '--user', 'alice', '--workspace', 'alpha', '--port', '5000');
    });
    after(() => world?.close());

    /** Checks and keeps one page; `look` goes there. */
    async function check(profile, name, look) {
      const page = await profile.newPage();
      page.on('request', (request) => {
        const { hostname, protocol } = new URL(request.url());
        const own = hostname === world.gateway.domain || hostname.endsWith(`.${world.gateway.domain}`);
        if (protocol.startsWith('http') && !own) outside.push(request.url());
      });
      const problems = [];
      page.on('console', (message) => {
        // A status of ours is not a defect of the page; a blocked style or script is.
        if (message.type() === 'error' && !/status of \d/.test(message.text())) problems.push(message.text());
      });
      page.on('pageerror', (error) => problems.push(error.message));
      await look(page);
      await shot(page, `page-${name}-${device}`);
      const { width, content, lang, title, main, dark } = await page.evaluate(() => ({
        width: document.documentElement.clientWidth,
        content: document.documentElement.scrollWidth,
        lang: document.documentElement.lang,
        title: document.title,
        main: document.querySelectorAll('main').length,
        dark: getComputedStyle(document.body).backgroundColor + getComputedStyle(document.documentElement).backgroundColor,
      }));
      assert.ok(content <= width, `${name} is ${content} px wide on a screen of ${width}`);
      assert.ok(lang, `${name} names its language`);
      assert.ok(title, `${name} has a title`);
      assert.equal(main, 1, `${name} has one main landmark`);
      assert.equal(lightness(dark) < 128, options.colorScheme === 'dark', `${name} follows the colour scheme`);
      if (options.isMobile) await fingersFit(page, name);
      assert.deepEqual(problems, [], `${name} runs without errors`);
      await page.close();
    }

    it('login', () => stranger('login', (page) => page.goto(`${world.gateway.control}/`)));

    it('login with a wrong password', () => stranger('login-wrong', async (page) => {
      await page.goto(`${world.gateway.control}/`);
      await page.getByLabel(/user name/i).fill('alice');
      await page.getByLabel(/password/i).fill('wrong');
      const [answer] = await Promise.all([
        page.waitForResponse((response) => response.request().method() === 'POST'),
        page.getByRole('button', { name: /log in/i }).click(),
      ]);
      assert.ok(answer.status() >= 400, `status ${answer.status()}`);
      await page.getByLabel(/password/i).waitFor();
    }));

    it('login link', async () => {
      const link = await world.gateway.newLink('alice');
      await stranger('link', (page) => page.goto(link));
    });

    it('login link that was never made', () => stranger('link-used', (page) =>
      page.goto(`${world.gateway.control}/.portway/link/${'A'.repeat(43)}`)));

    it('home', () => check(alice, 'home', async (page) => {
      await page.goto(`${world.gateway.control}/`);
      await page.getByRole('heading', { name: /your workspaces/i }).waitFor();
      await page.getByRole('heading', { name: 'alpha' }).waitFor();
    }));

    it('home with everything unfolded', () => check(alice, 'home-unfolded', async (page) => {
      await page.goto(`${world.gateway.control}/`);
      await page.getByRole('heading', { name: 'alpha' }).waitFor();
      await page.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
    }));

    it('home of somebody who has no workspace', () => check(bob, 'home-empty', async (page) => {
      await page.goto(`${world.gateway.control}/`);
      await page.getByRole('heading', { name: /your workspaces/i }).waitFor();
    }));

    it('consent', () => check(bob, 'consent', async (page) => {
      await visit(page, `${world.gateway.origin(server.port, 'alpha')}/`);
      await page.getByRole('button', { name: /continue/i }).waitFor();
    }));

    it('not found', () => check(alice, '404', async (page) => {
      const response = await page.goto(`${world.gateway.origin(3000, 'nosuch')}/`);
      assert.equal(response.status(), 404);
    }));

    it('no such page on the control host', () => check(alice, '404-control', async (page) => {
      const response = await page.goto(`${world.gateway.control}/.portway/nosuch`);
      assert.equal(response.status(), 404);
    }));

    it('closed port', () => check(alice, '502', async (page) => {
      const response = await visit(page, `${world.gateway.origin(closed, 'alpha')}/`);
      assert.equal(response.status(), 502);
    }));

    it('a callback that fits no visit', () => check(alice, '400-callback', async (page) => {
      const response = await page.goto(
        `${world.gateway.origin(3000, 'alpha')}/.portway/callback?t=${'A'.repeat(43)}`);
      assert.equal(response.status(), 400);
    }));

    it('none of them asked anything of anybody else', () => assert.deepEqual(outside, []));

    async function stranger(name, look) {
      await check(await world.browser.profile(options), name, look);
    }
  });
}

/** Every control can be hit with a finger: 44 CSS pixels, inline links in a sentence excepted. */
async function fingersFit(page, name) {
  const small = await page.evaluate(() =>
    [...document.querySelectorAll('button, input:not([type=hidden]), select, summary')]
      .filter((one) => one.checkVisibility())
      .map((one) => ({ text: (one.innerText || one.name || one.tagName), ...one.getBoundingClientRect().toJSON() }))
      .filter(({ height }) => height < 43.5)
      .map(({ text, height }) => `${text}: ${height} px`));
  assert.deepEqual(small, [], `${name} has controls too small for a finger`);
}

/** Lightness, 0 to 255, of the first colour in a list that is not transparent. */
function lightness(colours) {
  for (const [, parts] of colours.matchAll(/rgba?\(([^)]*)\)/g)) {
    const [red, green, blue, alpha = 1] = parts.split(',').map(Number);
    if (alpha > 0) return 0.299 * red + 0.587 * green + 0.114 * blue;
  }
  return 255; // nothing drawn: the browser's own white
}
