// A workspace's life in code-hub as Portway takes part in it, with Portway as the front: what is used is kept running and
// what is not is stopped, a deletion ends what is open, and the API server's events and locks reach the browser.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { ALICE, BOB, openHub } from '../lib/hub.mjs';
import { eventually, patience, within } from '../lib/wait.mjs';

/** How soon what is open must end with the workspace, in milliseconds. */
const CUT = 5000;

/** A page of the control host on which somebody has just logged in. */
async function dashboard(hub, profile, user = 'alice') {
  const page = await profile.newPage();
  await page.goto(`${hub.control}/login`);
  await hub.signIn(page, user);
  await page.getByRole('heading', { name: `Dashboard of ${user}` }).waitFor();
  return page;
}

/** One request to the API server as the dashboard's own script makes it. */
const api = (page, method, path, body) => page.evaluate(async (asked) => {
  const headers = { 'X-Trace-ID': 'life-of-a-workspace', ...(asked.body && { 'Content-Type': 'application/json' }) };
  const answer = await fetch(`/api/v1${asked.path}`, { method: asked.method, headers, body: JSON.stringify(asked.body) });
  return { status: answer.status, trace: answer.headers.get('X-Trace-ID'), body: await answer.json() };
}, { method, path, body });

/** Makes a workspace by the API and waits until the reconciler has provisioned it. */
async function create(page, name) {
  const made = await api(page, 'POST', '/workspaces', { name });
  assert.equal(made.status, 201);
  assert.equal(made.body.phase, 'PENDING');
  await eventually('the workspace to be provisioned', async () =>
    (await api(page, 'GET', `/workspaces/${made.body.id}`)).body.phase === 'STANDBY');
  return made.body.id;
}

/** Opens a workspace that stands by, which wakes it; the page goes on by itself until its app is there. */
async function visit(hub, url, heading) {
  const page = await hub.profile.newPage();
  await eventually('the workspace to be known', async () =>
    (await page.goto(url)).headers()['portway-reason'] === 'workspace-starting');
  await page.getByRole('heading', { name: heading }).waitFor();
  return page;
}

/** Collects in the page what the API server's events say, from when this resolves. */
const listen = (page) => page.evaluate(() => new Promise((resolve, reject) => {
  globalThis.told = [];
  const source = new EventSource('/api/v1/events');
  source.addEventListener('workspace', (event) => globalThis.told.push(JSON.parse(event.data)));
  source.onopen = resolve;
  source.onerror = reject;
}));
const told = (page) => page.evaluate(() => globalThis.told);

describe('a workspace of code-hub', () => {
  let hub, page;
  before(async () => {
    hub = await openHub({ name: 'codehub-life', settings: { STARTS_MS: '200' } });
    page = await dashboard(hub, hub.profile);
  });
  after(() => hub?.close());

  it('is deleted, which ends what is open and leaves nothing behind', async () => {
    const server = await hub.devServer({ title: 'short life' });
    const id = await create(page, 'Short');
    const visitor = await visit(hub, hub.url(server.port, id), 'short life');
    await visitor.evaluate(async () => {
      const socket = new WebSocket('/echo');
      const opened = new Promise((resolve) => { socket.onopen = resolve; });
      globalThis.closed = new Promise((resolve) => { socket.onclose = resolve; });
      const { body } = await fetch('/events');
      globalThis.ended = body.pipeTo(new WritableStream()).then(() => {}, () => {});
      await opened;
    });
    await eventually('both to reach the dev server', () => server.open() === 2);

    const deleted = await api(page, 'DELETE', `/workspaces/${id}`);
    assert.equal(deleted.status, 202);
    assert.equal(deleted.body.desired_state, 'DELETED');
    await within('the WebSocket and the stream to end', visitor.evaluate(async () => {
      await globalThis.closed;
      await globalThis.ended;
    }), CUT);
    await eventually('both to end at the dev server too', () => server.open() === 0);

    // Its port answers exactly as one of a workspace that never was, once the session on its host is gone too.
    const reached = server.requests.length;
    const known = await visitor.reload();
    assert.equal(known.status(), 404);
    assert.equal(known.headers()['portway-reason'], 'not-found');
    await hub.profile.clearCookies({ domain: new URL(visitor.url()).hostname });
    const answer = async (workspace) => {
      const response = await visitor.goto(hub.url(server.port, workspace));
      const said = (await visitor.locator('main').innerText()).replaceAll(workspace, 'ID');
      return { status: response.status(), reason: response.headers()['portway-reason'], said };
    };
    const gone = await answer(id);
    assert.equal(gone.status, 404);
    assert.deepEqual(gone, await answer(randomUUID()));
    assert.equal(server.requests.length, reached, 'a request reached the dev server');

    await eventually('the API server to have deleted it', async () =>
      (await api(page, 'GET', `/workspaces/${id}`)).status === 404);
    assert.equal(hub.postgres.sql(`SELECT phase, operation, deleted_at IS NOT NULL FROM workspaces WHERE id = '${id}'`),
      'DELETED|NONE|t');
    await visitor.close();
  });

  it('comes back from the archive when it is visited', async () => {
    const server = await hub.devServer({ title: 'restored' });
    const id = await create(page, 'Stored');
    assert.equal((await hub.patch(id, 'ARCHIVED')).status, 200);
    await eventually('it to be archived', async () =>
      (await api(page, 'GET', `/workspaces/${id}`)).body.phase === 'ARCHIVED');
    const visitor = await visit(hub, hub.url(server.port, id), 'restored');
    await visitor.close();
  });

  it("is nobody else's to see or delete", async () => {
    const id = hub.workspace('Hers', 'STANDBY', BOB);
    for (const method of ['GET', 'DELETE']) {
      const answer = await api(page, method, `/workspaces/${id}`);
      assert.equal(answer.status, 404);
      assert.equal(answer.body.error.code, 'WORKSPACE_NOT_FOUND');
      assert.equal(answer.trace, 'life-of-a-workspace');
    }
    assert.equal(hub.postgres.sql(`SELECT desired_state FROM workspaces WHERE id = '${id}'`), 'STANDBY');
  });

  it('tells its owner, and nobody else, of each change of phase as it happens', async () => {
    await listen(page);
    const bobs = await dashboard(hub, await hub.browser.profile(), 'bob');
    await listen(bobs);
    const id = await create(page, 'Told');
    const his = await create(bobs, 'His');
    assert.equal((await hub.patch(id, 'RUNNING')).status, 200);
    const tellsOf = (events, workspace, phase) => events.some((one) => one.id === workspace && one.phase === phase);
    await eventually('its start to be told', async () => tellsOf(await told(page), id, 'RUNNING'));
    await eventually('the other one to be told to its owner', async () => tellsOf(await told(bobs), his, 'STANDBY'));
    assert.ok((await told(page)).some((one) => one.id === id && one.operation === 'STARTING'));
    assert.ok((await told(page)).every((one) => one.id === id));
    assert.ok((await told(bobs)).every((one) => one.id === his));
    await bobs.close();
  });

  it('is out of reach of who guesses at a password: the name is locked, for longer each time', async () => {
    const guesser = await (await hub.browser.profile()).newPage();
    await guesser.goto(`${hub.control}/login`);
    const guess = async (password) => {
      const [answer] = await Promise.all([
        guesser.waitForResponse((response) => response.url().endsWith('/api/v1/login')),
        hub.signIn(guesser, 'bob', password),
      ]);
      return answer.status();
    };
    const lockedFor = () => Number(hub.postgres.sql(
      "SELECT extract(epoch FROM locked_until - now()) FROM users WHERE username = 'bob'"));
    for (let n = 1; n <= 5; n += 1) assert.equal(await guess('wrong'), 401);
    assert.ok(lockedFor() <= 30);
    assert.equal(await guess('wrong'), 429);
    assert.equal(await guess('correct horse'), 429);
    // The lock has passed; what is wrong again locks for twice as long.
    hub.postgres.sql("UPDATE users SET locked_until = now() WHERE username = 'bob'");
    assert.equal(await guess('wrong'), 401);
    const seconds = lockedFor();
    assert.ok(seconds > 30 && seconds <= 60, `locked for ${seconds} s`);
    assert.equal(await guess('correct horse'), 429);
    hub.postgres.sql("UPDATE users SET locked_until = now() WHERE username = 'bob'");
    assert.equal(await guess('correct horse'), 200);
    await guesser.getByRole('heading', { name: 'Dashboard of bob' }).waitFor();
    assert.equal(hub.postgres.sql("SELECT failed_login_attempts FROM users WHERE username = 'bob'"), '0');
    await guesser.close();
  });
});

describe('the TTL manager of code-hub', () => {
  // In seconds. Uses are told once a second, in whole seconds: what is used without a pause looks idle for three at worst.
  const STANDBY_AFTER = 5;
  const OUTLIVED = 10;
  let hub, page;
  before(async () => {
    hub = await openHub({
      name: 'codehub-ttl',
      redis: true,
      settings: {
        STARTS_MS: '200', TTL_EVERY_MS: '100', STANDBY_AFTER_MS: String(STANDBY_AFTER * 1000), ARCHIVE_AFTER_MS: '8000',
      },
    });
    page = await dashboard(hub, hub.profile);
  });
  after(() => hub?.close());

  it('keeps what is used, however long, and stops what is not', async () => {
    const server = await hub.devServer({ title: 'the app' });
    const used = await create(page, 'Used');
    const unused = await create(page, 'Unused');
    const column = (id, what) => hub.postgres.sql(`SELECT ${what} FROM workspaces WHERE id = '${id}'`);
    const state = (id) => column(id, "phase || ' ' || operation || ' ' || desired_state");
    // Both are visited, which wakes them; then one is left alone.
    const [visitor, other] = await Promise.all([used, unused].map((id) => visit(hub, hub.url(server.port, id), 'the app')));
    await other.close();

    // The other one is used all the time, until the limit has passed ten times.
    const since = Number(column(used, 'extract(epoch FROM phase_changed_at)'));
    await eventually('it to be used for ten times as long as it may be idle', async () => {
      await visitor.reload();
      assert.ok(await visitor.getByRole('heading', { name: 'the app' }).isVisible(), 'its page is gone');
      assert.equal(state(used), 'RUNNING NONE RUNNING');
      return Number(column(used, 'extract(epoch FROM last_access_at)')) > since + OUTLIVED * STANDBY_AFTER;
    }, OUTLIVED * STANDBY_AFTER * 1000 + patience);
    assert.equal(Number(column(used, 'extract(epoch FROM phase_changed_at)')), since, 'it was stopped in between');
    assert.equal(state(unused), 'ARCHIVED NONE ARCHIVED');

    // A page that is only open is no use: it is stopped, and every report has been taken.
    await eventually('it to be stopped', () => state(used) === 'STANDBY NONE STANDBY');
    await eventually('every report to be taken', () => hub.redis.ask('ZCARD', 'codehub:activity') === '0');
  });
});
