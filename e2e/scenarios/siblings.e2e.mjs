// Ports of one workspace belong together: a page on one calls another, both private, in a browser
// that never opened the other. What the dev server hears of it, and where it ends.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { attack } from '../lib/attack.mjs';
import { LAPTOP } from '../lib/browser.mjs';
import { ALL_WORK, ask, CALLED, calls, knock, picture } from '../lib/calls.mjs';
import { eventually } from '../lib/wait.mjs';
import { logIn, logInAt, logOut, openWorld, visit, WAYS } from '../lib/world.mjs';

const PASSWORD = 'correct horse battery staple';

/** Ways in which a page first fails to reach a port that nobody has heard of. */
const FIRST_FAILURES = [
  { kind: 'fetch', fail: async (page, other) => (await ask(page, `${other}/api`)).status, as: 401 },
  { kind: 'WebSocket', fail: (page, other) => knock(page, `${other}/echo`), as: 'refused' },
  { kind: 'image', fail: (page, other) => picture(page, `${other}/pixel.svg`), as: 'refused' },
];

/** Where a page's window is taken from now on, redirects included and queries left out. */
function followed(page) {
  const places = [];
  page.on('request', (request) => {
    if (!request.isNavigationRequest() || request.frame() !== page.mainFrame()) return;
    places.push(request.url().split('?')[0]);
  });
  return places;
}

/** The answers to preflights of a page from now on, which are no response that playwright shows. */
async function preflights(page) {
  const client = await page.context().newCDPSession(page);
  const answers = [];
  client.on('Network.responseReceived', ({ type, response: { status, headers } }) => {
    if (type !== 'Preflight') return;
    const fields = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
    answers.push({ status, ...Object.fromEntries(fields) });
  });
  await client.send('Network.enable');
  return answers;
}

for (const { way, slug, tls } of WAYS) {
  describe(`ports of one workspace over ${way}`, () => {
    let world, gateway, alice;
    before(async () => {
      world = await openWorld({ tls, name: `siblings-${slug}` });
      gateway = world.gateway;
      alice = await world.person('alice', LAPTOP, PASSWORD);
    });
    after(() => world?.close());

    let markers = 0;
    /** Waits until the gateway has heard of everything it was told: it hears of changes in order. */
    async function told() {
      const id = `marker${++markers}`;
      await world.workspace(id, 'alice');
      const page = await alice.newPage();
      await visit(page, `${gateway.origin(9, id)}/`);
      await page.close();
    }

    /** A new workspace of alice's with a dev server for its page and one that the page calls. */
    async function workspace(id, { declared = false } = {}) {
      await world.workspace(id, 'alice');
      const own = await world.devServer({ title: 'front' });
      const other = await world.devServer({ title: 'api', pages: CALLED });
      if (declared) await gateway.cli('port', 'set', id, String(other.port));
      await told();
      return { own, other, ownOrigin: gateway.origin(own.port, id), otherOrigin: gateway.origin(other.port, id) };
    }

    /** Alice in a profile that knows nothing, logged in by way of an address. */
    async function freshAt(url) {
      const profile = await world.browser.profile();
      return { profile, page: await logInAt(profile, url, 'alice', PASSWORD) };
    }

    /** The dev server heard the calls of `calls` as from `localhost`, and nothing that is ours. */
    function heardCleanly(other, own) {
      assert.deepEqual(other.requests.filter(({ method }) => method === 'OPTIONS'), []);
      const [put] = other.requests.filter(({ method }) => method === 'PUT');
      assert.equal(put.body, '{"word":1}');
      assert.equal(put.headers['x-custom'], 'ours');
      for (const { method, url, headers } of other.requests.filter((one) => one.headers.origin)) {
        assert.equal(headers.origin, `http://localhost:${own.port}`, `${method} ${url}`);
      }
      assert.ok(other.to('/echo').every(({ headers }) => headers.origin), 'a WebSocket says its Origin');
      assert.doesNotMatch(other.bytes().replaceAll('CDN-Loop: portway\r\n', ''), /portway/i);
      assert.doesNotMatch(other.bytes(), /^cookie:/im);
    }

    describe('declared', () => {
      let own, other, ownOrigin, otherOrigin, page;
      before(async () => {
        ({ own, other, ownOrigin, otherOrigin } = await workspace('declared', { declared: true }));
      });

      it('one login at one address is enough for every kind of call to the other port', async () => {
        ({ page } = await freshAt(`${ownOrigin}/?a=1`));
        assert.equal(other.requests.length, 0, 'a login dials nothing');
        assert.deepEqual(await calls(page, otherOrigin), ALL_WORK);
        heardCleanly(other, own);
      });

      it('the page is led through /.portway/ of the other port once, and not again', async () => {
        const profile = await world.browser.profile();
        await logIn(profile, 'alice', await gateway.newLink('alice'));
        const tab = await profile.newPage();
        const seen = followed(tab);
        await tab.goto(`${ownOrigin}/`);
        assert.deepEqual(seen, [
          `${ownOrigin}/`, `${gateway.control}/.portway/authorize`, `${otherOrigin}/.portway/join`,
          `${gateway.control}/.portway/authorize`, `${otherOrigin}/.portway/callback`,
          `${ownOrigin}/.portway/callback`, `${ownOrigin}/`,
        ]);
        seen.length = 0;
        await tab.reload();
        await tab.goto(`${otherOrigin}/`);
        assert.deepEqual(seen, [`${ownOrigin}/`, `${otherOrigin}/`]);
      });

      it('a redirect to localhost, as frameworks make for a slash, is followed and read', async () => {
        const pages = { '/items/': { html: '["milk"]', headers: { 'Content-Type': 'application/json' } } };
        const slashes = await world.devServer({ pages });
        pages['/items'] = { status: 307, headers: { Location: `http://localhost:${slashes.port}/items/` } };
        await gateway.cli('port', 'set', 'declared', String(slashes.port));
        await told();
        const { page } = await freshAt(`${ownOrigin}/?b=2`);
        const answer = await ask(page, `${gateway.origin(slashes.port, 'declared')}/items`);
        assert.deepEqual(answer, { status: 200, reason: null, text: '["milk"]' });
        assert.equal(slashes.to('/items/').length, 1);
      });

      it('answers of our own can be read too: a closed port is 502', async () => {
        await other.stop();
        const answer = await ask(page, `${otherOrigin}/api`);
        assert.deepEqual([answer.status, answer.reason], [502, 'port-closed']);
      });

      it('after a logout the other port answers 401, which the page can read', async () => {
        const { profile, page } = await freshAt(`${ownOrigin}/?c=3`);
        await logOut(profile, gateway);
        const answer = await ask(page, `${otherOrigin}/api`);
        assert.equal(answer.status, 401, JSON.stringify(answer));
        assert.ok(answer.reason);
      });
    });

    for (const { kind, fail, as } of FIRST_FAILURES) {
      it(`unknown: the first ${kind} fails, one reload repairs it`, async () => {
        const { own, other, ownOrigin, otherOrigin } = await workspace(`unknown-${kind.toLowerCase()}`);
        const { page } = await freshAt(`${ownOrigin}/?a=1`);
        assert.equal(await fail(page, otherOrigin), as);
        assert.equal(other.requests.length, 0);
        const seen = followed(page);
        await page.reload();
        assert.equal(page.url(), `${ownOrigin}/?a=1`);
        assert.ok(seen.includes(`${otherOrigin}/.portway/join`), seen.join('\n'));
        assert.equal(await page.title(), 'front');
        assert.deepEqual(await calls(page, otherOrigin), ALL_WORK);
        heardCleanly(other, own);
      });
    }

    it('unknown: the page can read that it is 401, and why', async () => {
      const { other, ownOrigin, otherOrigin } = await workspace('unknown-read');
      const { page } = await freshAt(`${ownOrigin}/`);
      const { status, reason, text } = await ask(page, `${otherOrigin}/api`);
      assert.equal(status, 401);
      assert.ok(reason);
      assert.equal(JSON.parse(text).error.code, reason);
      assert.equal(other.requests.length, 0);
    });

    it('eight others at once, and the visit ends at exactly the address asked for', async () => {
      const { ownOrigin } = await workspace('many');
      const others = [];
      for (let at = 0; at < 8; at++) {
        const server = await world.devServer({ pages: CALLED });
        await gateway.cli('port', 'set', 'many', String(server.port));
        others.push(gateway.origin(server.port, 'many'));
      }
      await told();
      const profile = await world.browser.profile();
      await logIn(profile, 'alice', await gateway.newLink('alice'));
      const page = await profile.newPage();
      const seen = followed(page);
      const url = `${ownOrigin}/?a=1&b=%2F#part`;
      await page.goto(url);
      await page.getByRole('heading', { name: 'front' }).waitFor();
      const answers = await Promise.all(others.map((origin) => ask(page, `${origin}/api`)));
      assert.deepEqual(answers.map(({ status }) => status), Array(8).fill(200), seen.join('\n'));
      assert.equal(page.url(), url, seen.join('\n'));
    });

    it('a port that the visitor may not open stays shut, and spoils nothing', async () => {
      const { own, other, ownOrigin, otherOrigin } = await workspace('partly', { declared: true });
      const bob = await world.person('bob');
      await gateway.cli('share', 'set', 'partly', String(own.port), '--user', 'bob');
      await told();
      const page = await bob.newPage();
      await page.goto(`${ownOrigin}/?a=1`);
      await page.getByRole('button', { name: /continue/i }).click();
      await page.waitForURL(`${ownOrigin}/?a=1`);
      for (let round = 0; round < 2; round++) {
        const { status, reason } = await ask(page, `${otherOrigin}/api`);
        assert.ok([401, 404].includes(status), `status ${status}`);
        assert.ok(reason);
        const seen = followed(page);
        await page.reload();
        assert.equal(page.url(), `${ownOrigin}/?a=1`);
        assert.equal(await page.title(), 'front');
        assert.deepEqual(seen, [`${ownOrigin}/`], 'a reload asks for nothing that bob may not have');
      }
      assert.equal(other.requests.length, 0);
    });

    it("another workspace's page gets nothing, though its visitor owns the port and has a session on it", async () => {
      const { own, other, ownOrigin, otherOrigin } = await workspace('alpha', { declared: true });
      await world.person('mallory');
      await world.workspace('beta', 'mallory');
      const evil = await world.devServer({ title: 'evil' });
      await gateway.cli('share', 'set', 'beta', String(evil.port), '--user', 'alice');
      await told();
      const { profile, page } = await freshAt(`${ownOrigin}/`);
      assert.deepEqual(await calls(page, otherOrigin), ALL_WORK, 'a session on the port under attack');
      own.requests.length = other.requests.length = 0;

      const evilPage = await profile.newPage();
      const evilUrl = `${gateway.origin(evil.port, 'beta')}/`;
      await evilPage.goto(evilUrl);
      await evilPage.getByRole('button', { name: /continue/i }).click();
      await evilPage.getByRole('heading', { name: 'evil' }).waitFor();
      const asked = await preflights(evilPage);
      for (const victim of [otherOrigin, ownOrigin]) {
        await evilPage.goto(evilUrl); // without the frames of the attempts before
        const outcomes = await attack(evilPage, victim);
        assert.deepEqual(await calls(evilPage, victim), {
          put: 'Failed to fetch',
          get: 'Failed to fetch',
          socket: 'no WebSocket',
          events: 'no event stream',
          image: 'no image',
        });
        for (const kind of ['fetchCors', 'fetchPut', 'image', 'script', 'socket', 'events']) {
          assert.equal(outcomes[kind], 'refused', kind);
        }
      }
      assert.deepEqual([...own.requests, ...other.requests], []);
      await eventually('the preflights to be told', () => asked.length >= 4);
      for (const answer of asked) {
        assert.equal(answer.status, 403);
        assert.equal(answer['portway-reason'], 'other-origin');
        assert.deepEqual(Object.keys(answer).filter((name) => name.startsWith('access-control-')), []);
      }
    });

    it('what is shared with a visitor is theirs after one consent each', async () => {
      const { own, other, ownOrigin, otherOrigin } = await workspace('shared');
      const carol = await world.person('carol');
      for (const { port } of [own, other]) await gateway.cli('share', 'set', 'shared', String(port), '--user', 'carol');
      await told();
      const page = await carol.newPage();
      for (const origin of [otherOrigin, ownOrigin]) {
        await page.goto(`${origin}/`);
        await page.getByRole('button', { name: /continue/i }).click();
        await page.waitForURL(`${origin}/`);
      }
      assert.deepEqual(await calls(page, otherOrigin), ALL_WORK);
      heardCleanly({ ...other, requests: other.requests.slice(1) }, own);
    });
  });
}
