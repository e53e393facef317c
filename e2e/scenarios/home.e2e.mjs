// The home page: an owner runs their own ports without an operator, by page and by its API.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../lib/wait.mjs';
import { openWorld } from '../lib/world.mjs';

describe('the home page', () => {
  let world, alice, bob, server, page;
  before(async () => {
    world = await openWorld({ name: 'home' });
    alice = await world.person('alice');
    bob = await world.person('bob');
    await world.workspace('alpha', 'alice');
    server = await world.devServer({ title: 'my app' });
    page = await alice.newPage();
    await page.goto(world.gateway.control);
    await eventually('the new workspace to be listed', async () => {
      await page.reload();
      return page.getByRole('heading', { name: 'alpha' }).count();
    });
  });
  after(() => world?.close());

  /** What a program gets from the port, by its token alone. */
  function program(token) {
    const { hostname, port } = new URL(world.gateway.control);
    return new Promise((resolve, reject) => {
      const headers = {
        Host: `${server.port}-alpha.${hostname}:${port}`,
        ...(token && { 'X-Portway-Token': token }),
      };
      const call = request({ host: '127.0.0.1', port, path: '/headers', headers }, (response) => {
        let body = '';
        response.on('data', (chunk) => { body += chunk; });
        response.on('end', () => resolve({ status: response.statusCode, body }));
      });
      call.on('error', reject);
      call.end();
    });
  }

  /** Unfolds what belongs to the port on alice's page. */
  async function manage() {
    const row = page.getByRole('listitem').filter({ hasText: String(server.port) }).first();
    const share = row.getByLabel(/share with/i).first();
    if (!(await share.isVisible())) await row.getByText('Manage').click();
    return row;
  }

  it('leads to any port', async () => {
    const visit = await alice.newPage();
    await visit.goto(world.gateway.control);
    await visit.getByLabel(/open another port/i).fill(String(server.port));
    await visit.getByRole('button', { name: 'Open', exact: true }).click();
    await visit.getByRole('heading', { name: 'my app' }).waitFor();
    assert.equal(visit.url(), `${world.gateway.origin(server.port, 'alpha')}/`);
    await visit.close();
  });

  it('lists a port, and its link opens it', async () => {
    await page.getByLabel(/open another port/i).fill(String(server.port));
    await page.getByRole('button', { name: /add to list/i }).click();
    const link = page.getByRole('link', { name: new RegExp(`open port ${server.port} of alpha`, 'i') });
    assert.equal(await link.getAttribute('href'), `${world.gateway.origin(server.port, 'alpha')}/`);
  });

  it('shares a port with a user, who finds it on their own home page', async () => {
    const row = await manage();
    await row.getByLabel(/share with/i).first().fill('bob');
    await row.getByRole('button', { name: 'Share', exact: true }).click();
    await page.getByText(/shared with bob/i).waitFor();

    const visit = await bob.newPage();
    await visit.goto(world.gateway.control);
    await visit.getByRole('link', { name: new RegExp(`open port ${server.port} of alpha`, 'i') }).click();
    await visit.getByRole('button', { name: /continue/i }).click();
    await visit.getByRole('heading', { name: 'my app' }).waitFor();
    await visit.close();
  });

  it('unshares it, and the door is shut', async () => {
    const row = await manage();
    await row.getByRole('button', { name: /unshare with bob/i }).click();
    await page.getByText(/shared with bob/i).waitFor({ state: 'detached' });
    const visit = await bob.newPage();
    const before = server.requests.length;
    const answer = await visit.goto(`${world.gateway.origin(server.port, 'alpha')}/`);
    assert.equal(answer.status(), 404);
    assert.equal(server.requests.length, before);
    await visit.close();
  });

  it('makes a token that opens this port for a program, until it is revoked', async () => {
    assert.equal((await program()).status, 401);
    const tokens = page.getByRole('region', { name: 'Tokens' });
    await tokens.getByLabel('Port').fill(String(server.port));
    await tokens.getByRole('button', { name: /create token/i }).click();
    const token = await page.getByLabel('Token', { exact: true }).inputValue();
    assert.match(token, /^pwy_/);

    const { status, body } = await program(token);
    assert.equal(status, 200);
    assert.ok(!body.includes(token), 'the dev server never sees the token');

    await page.goto(world.gateway.control);
    assert.ok(!(await page.content()).includes(token), 'it is shown once');
    await tokens.getByRole('button', { name: /revoke/i }).click();
    await eventually('the token to end', async () => (await program(token)).status === 401);
  });

  it('has an API that says the same as the page', async () => {
    const visit = await alice.newPage();
    const answer = await visit.goto(`${world.gateway.control}/.portway/api/v1/workspaces`);
    assert.equal(answer.status(), 200);
    const text = JSON.stringify(await answer.json());
    assert.match(text, /"alpha"/);
    assert.ok(text.includes(String(server.port)));
    await visit.close();
  });

  it('gives none of it to a page of a workspace', async () => {
    const visit = await alice.newPage();
    await visit.goto(`${world.gateway.origin(server.port, 'alpha')}/`);
    const answer = await visit.evaluate(async (control) => {
      const get = (options) => fetch(`${control}/.portway/api/v1/me`, { credentials: 'include', ...options })
        .then((response) => response.type, () => 'refused');
      return [await get({}), await get({ method: 'POST', body: '{}' })];
    }, world.gateway.control);
    assert.deepEqual(answer, ['refused', 'refused']);
    await visit.close();
  });
});
