// A page on another workspace's port tries everything a page can against a private port that its
// visitor may open and has a session for. The dev server must not hear one byte of it.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { shot } from '../lib/browser.mjs';
import { eventually } from '../lib/wait.mjs';
import { document } from '../lib/upstreams.mjs';
import { openWorld, WAYS } from '../lib/world.mjs';

/** Runs in the attacking page: makes every attempt, waits for its end, says what came of it. */
async function attempts(victim) {
  const settled = (promise) => promise.then((value) => `ok ${value}`, () => 'refused');
  const element = (name, attributes) => new Promise((resolve) => {
    const one = Object.assign(document.createElement(name), attributes);
    one.onload = () => resolve('loaded');
    one.onerror = () => resolve('refused');
    document.body.append(one);
  });
  const form = (method) => new Promise((resolve) => {
    const frame = Object.assign(document.createElement('iframe'), { name: `frame-${method}` });
    document.body.append(frame);
    const one = Object.assign(document.createElement('form'),
      { method, action: `${victim}/attack/form-${method}`, target: frame.name });
    one.innerHTML = '<input name="word" value="evil">';
    document.body.append(one);
    frame.onload = () => resolve('answered');
    one.submit();
  });
  const socket = (path) => new Promise((resolve) => {
    const one = new WebSocket(`${victim.replace('http', 'ws')}${path}`);
    one.onopen = () => resolve('open');
    one.onerror = () => resolve('refused');
  });
  const events = (path) => new Promise((resolve) => {
    const one = new EventSource(`${victim}${path}`, { withCredentials: true });
    one.onopen = () => { one.close(); resolve('open'); };
    one.onerror = () => { one.close(); resolve('refused'); };
  });
  const get = (path, options) => settled(
    fetch(`${victim}${path}`, { credentials: 'include', ...options }).then((r) => r.type));

  navigator.sendBeacon(`${victim}/attack/beacon`, 'evil');
  return {
    fetchCors: await get('/attack/fetch-cors'),
    fetchNoCors: await get('/attack/fetch-no-cors', { mode: 'no-cors' }),
    fetchPost: await get('/attack/fetch-post', { mode: 'no-cors', method: 'POST', body: 'evil' }),
    fetchPut: await get('/attack/fetch-put', { method: 'PUT', body: '{}', headers: { 'Content-Type': 'application/json' } }),
    fetchNoReferrer: await get('/attack/fetch-bare', { mode: 'no-cors', referrerPolicy: 'no-referrer' }),
    image: await element('img', { src: `${victim}/pixel.svg?attack` }),
    script: await element('script', { src: `${victim}/attack/script` }),
    frame: await element('iframe', { src: `${victim}/attack/frame` }),
    sandboxed: await element('iframe', { src: `${victim}/attack/sandboxed`, sandbox: 'allow-scripts' }),
    formGet: await form('get'),
    formPost: await form('post'),
    socket: await socket('/echo?attack'),
    events: await events('/events?attack'),
  };
}

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
      await page.goto(`${victimOrigin}/`); // a live session for the port under attack
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
      const outcomes = await page.evaluate(attempts, victimOrigin);
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

    it('the same attempts from a port of the same workspace arrive: the record can see them', async () => {
      const before = victim.requests.length;
      const page = await alice.newPage();
      await page.goto(`${world.gateway.origin(friend.port, 'alpha')}/`);
      await page.getByRole('heading', { name: 'sibling' }).waitFor();
      const outcomes = await page.evaluate(attempts, victimOrigin);
      const seen = new Set(victim.requests.slice(before).map((request) => request.url.split('?')[0]));
      for (const path of ['/attack/fetch-no-cors', '/pixel.svg', '/attack/frame', '/attack/form-post', '/echo']) {
        assert.ok(seen.has(path), `${path} of ${JSON.stringify(outcomes)}`);
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
