// The main job, once: a fresh gateway, a first user, a dev server, and the page in a browser.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { shot } from '../lib/browser.mjs';
import { openWorld, visit } from '../lib/world.mjs';

describe('a person opens a port of their own', () => {
  let world, link, profile, server;
  before(async () => {
    world = await openWorld({ name: 'first' });
    link = await world.gateway.addUser('alice');
    await world.workspace('alpha', 'alice');
    server = await world.devServer({ title: 'my app' });
    profile = await world.browser.profile();
  });
  after(() => world?.close());

  it('a stranger is sent to log in, and the dev server hears nothing', async () => {
    const page = await (await world.browser.profile()).newPage();
    await page.goto(`${world.gateway.origin(server.port, 'alpha')}/`);
    await page.getByLabel(/password/i).waitFor();
    assert.equal(new URL(page.url()).origin, world.gateway.control);
    assert.equal(server.bytes(), '');
  });

  it('the login link names the user, and looking at it consumes nothing', async () => {
    for (let look = 0; look < 2; look++) {
      const page = await profile.newPage();
      await page.goto(link);
      await page.getByRole('button', { name: /log in as alice/i }).waitFor();
      await page.close();
    }
    assert.deepEqual(await profile.cookies(), []);
  });

  it('its button logs in, once', async () => {
    const page = await profile.newPage();
    await page.goto(link);
    await page.getByRole('button', { name: /log in as alice/i }).click();
    await page.getByRole('heading', { name: /your workspaces/i }).waitFor();

    const thief = await (await world.browser.profile()).newPage();
    await thief.goto(link);
    assert.equal(await thief.getByRole('button', { name: /log in as/i }).count(), 0);
  });

  it('the port opens at exactly the address that was asked for', async () => {
    const page = await profile.newPage();
    const url = `${world.gateway.origin(server.port, 'alpha')}/?a=1&b=%2F#part`;
    await visit(page, url);
    await page.getByRole('heading', { name: 'my app' }).waitFor();
    assert.equal(page.url(), url);
    assert.equal(server.requests.at(-1).url, '/?a=1&b=%2F');
    await shot(page, 'first-port');
  });

  it('a password leads back to the page that was asked for', async () => {
    await world.gateway.setPassword('alice', 'correct horse battery staple');
    const page = await (await world.browser.profile()).newPage();
    const url = `${world.gateway.origin(server.port, 'alpha')}/headers?after=login`;
    await page.goto(url);
    await page.getByLabel(/user name/i).fill('alice');
    await page.getByLabel(/password/i).fill('correct horse battery staple');
    await page.getByRole('button', { name: /log in/i }).click();
    await page.waitForURL(url);
  });

  it("no secret of a login is in the gateway's log", async () => {
    const log = JSON.stringify(world.gateway.log);
    assert.match(log, /"status":200/, 'requests are logged at all');
    const secrets = (await profile.cookies()).map((cookie) => [cookie.name, cookie.value]);
    assert.ok(secrets.length >= 2, 'a login and a host session');
    secrets.push(['login link', new URL(link).pathname.split('/').pop()]);
    const told = secrets.filter(([, value]) => log.includes(value)).map(([name]) => name);
    assert.deepEqual(told, []);
  });

  it('nothing of a login reached the dev server', () => {
    assert.doesNotMatch(server.bytes(), /portway_?(login|txn)|__Host-portway|[?&]t=/i);
  });
});
