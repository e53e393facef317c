// Beside code-hub: its database, its login and its API server, with the ten lines of configuration that its people write;
// behind an ingress that splits the control host, and as the front of all of it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { shot, startBrowser } from '../lib/browser.mjs';
import { startApi, startIngress } from '../lib/codehub.mjs';
import { freePort, startGateway } from '../lib/gateway.mjs';
import { startPostgres } from '../lib/postgres.mjs';
import { startDevServer } from '../lib/upstreams.mjs';
import { eventually } from '../lib/wait.mjs';

const DOMAIN = 'portway.localhost';
const ALICE = '01HALICE000000000000000000';

for (const { way, slug, split } of [
  { way: 'behind nginx', slug: 'codehub', split: true },
  { way: 'as the front', slug: 'codehub-front', split: false },
]) describe(`beside code-hub, ${way}`, () => {
  let postgres, api, gateway, browser, profile, front;
  const closing = [];
  const url = (port, workspace, path = '/') => `http://${port}-${workspace}.${DOMAIN}:${front}${path}`;
  const workspace = (name, phase) => {
    const id = randomUUID();
    postgres.sql(`INSERT INTO workspaces (id, owner_user_id, name, phase, desired_state)
      VALUES ('${id}', '${ALICE}', '${name}', '${phase}', '${phase}')`);
    return id;
  };
  const signIn = async (page) => {
    await page.getByLabel('User name').fill('alice');
    await page.getByLabel('Password').fill('correct horse');
    await page.getByRole('button', { name: 'Sign in' }).click();
  };
  /** As alice's own scripts do it, with the session of her browser. */
  const patch = async (id, state) => {
    const { value } = (await profile.cookies()).find((cookie) => cookie.name === 'session');
    return fetch(`${api.url}/api/v1/workspaces/${id}`, {
      method: 'PATCH',
      headers: { Cookie: `session=${value}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ desired_state: state }),
    });
  };

  before(async () => {
    const keep = (started) => { closing.push(() => started.stop()); return started; };
    postgres = keep(await startPostgres());
    postgres.sql(`INSERT INTO users (id, username, password_hash) VALUES ('${ALICE}', 'alice', 'correct horse')`);
    api = keep(await startApi(postgres.url));
    front = await freePort();
    gateway = keep(await startGateway({
      name: slug,
      plainPort: split ? 0 : front,
      extra: `
preset = "code-hub"
domain = "${DOMAIN}"
public = "http://${DOMAIN}:${front}"
control = "http://${DOMAIN}:${front}"
control_upstream = "${api.url}"
[postgres]
url = "${postgres.url}"`,
      workspaces: 'address = "localhost"',
    }));
    if (split) {
      keep(await startIngress({ port: front, domain: DOMAIN, api: api.port, gateway: gateway.address('plain') }));
    }
    browser = await startBrowser();
    closing.push(() => browser.close());
    profile = await browser.profile();
  });
  after(async () => { for (const close of closing.reverse()) await close(); });

  it('goes on to the very address once somebody has logged in there, in a tab of its own', async () => {
    const server = await startDevServer({ title: 'my app' });
    closing.push(() => server.stop());
    const id = workspace('Atelier', 'RUNNING');
    const page = await profile.newPage();
    const wanted = url(server.port, id, '/?a=1&b=%2F#part');
    await eventually('the workspace to be known', async () => {
      await page.goto(wanted);
      return page.url().includes('/.portway/login');
    });
    await page.getByText(`${server.port}-${id}`).waitFor();
    await shot(page, `${slug}-login`);
    assert.equal(server.bytes(), '', 'a stranger reached the dev server');
    const [tab] = await Promise.all([profile.waitForEvent('page'), page.getByRole('link', { name: 'Log in' }).click()]);
    await signIn(tab);
    await page.getByRole('heading', { name: 'my app' }).waitFor();
    assert.equal(page.url(), wanted);
    await eventually('the tab of the login to be closed', () => tab.isClosed());
    // Nothing of the control plane's session reaches a workspace.
    const cookies = (await profile.cookies()).filter((cookie) => cookie.name === 'session');
    assert.equal(cookies.length, 1);
    assert.ok(!server.bytes().includes(cookies[0].value));
    await page.goto(`http://${DOMAIN}:${front}/.portway/`);
    await page.getByRole('heading', { name: 'Atelier' }).waitFor();
    await shot(page, `${slug}-home`);
    await page.close();
  });

  it('starts a workspace that sleeps, says what is missing, and shows the app when it is there', async () => {
    const port = await freePort();
    const id = workspace('Sleeper', 'STANDBY');
    const page = await profile.newPage();
    await eventually('the workspace to be known', async () =>
      (await page.goto(url(port, id))).headers()['portway-reason'] === 'workspace-starting');
    await page.getByRole('heading', { name: 'The workspace is starting' }).waitFor();
    await shot(page, `${slug}-starting`);
    // Stopping killed its dev servers, so the port is closed once it is up.
    await page.getByRole('heading', { name: `Nothing is listening on port ${port}` }).waitFor();
    await shot(page, `${slug}-started`);
        const server = await startDevServer({ title: 'awake', port });
    closing.push(() => server.stop());
    await page.getByRole('heading', { name: 'awake' }).waitFor();
    assert.equal(page.url(), url(port, id));

    // It is stopped under the open page: what the page asks is refused, and wakes nothing.
    assert.equal((await patch(id, 'STANDBY')).status, 200);
    const ask = () => page.evaluate(() => fetch('/headers').then((answer) => answer.headers.get('Portway-Reason')));
    await eventually('the page to be told', async () => (await ask()) === 'workspace-asleep');
    assert.equal(postgres.sql(`SELECT desired_state FROM workspaces WHERE id = '${id}'`), 'STANDBY');
    await page.close();
  });

  it('says that the limit is reached, and starts it once another was stopped', async () => {
    postgres.sql('UPDATE workspaces SET deleted_at = now()');
    const running = [1, 2, 3].map((n) => workspace(`Busy ${n}`, 'RUNNING'));
    const id = workspace('One too many', 'STANDBY');
    const page = await profile.newPage();
    const reason = async () => (await page.goto(url(3000, id))).headers()['portway-reason'];
    await eventually('the limit to be told', async () => (await reason()) === 'workspace-limit');
    await page.getByRole('heading', { name: 'You run as many workspaces as you may' }).waitFor();
    await shot(page, `${slug}-limit`);
    assert.equal((await patch(running[0], 'STANDBY')).status, 200);
    await eventually('it to be started', async () => (await reason()) !== 'workspace-limit');
    await page.close();
  });

  it('says why a login has ended when its person logs in elsewhere', async () => {
    const server = await startDevServer({ title: 'still here' });
    closing.push(() => server.stop());
    const id = workspace('Studio', 'RUNNING');
    const page = await profile.newPage();
    await page.goto(url(server.port, id));
    await page.getByRole('heading', { name: 'still here' }).waitFor();
    const other = await (await browser.profile()).newPage();
    await other.goto(`http://${DOMAIN}:${front}/login`);
    await signIn(other);
    await other.getByRole('heading', { name: 'Dashboard of alice' }).waitFor();
    await eventually('the first login to end', async () => {
      await page.reload();
      return page.url().includes('/.portway/login');
    });
    await page.getByRole('heading', { name: 'Log in again' }).waitFor();
    await page.getByText('you logged in somewhere else').waitFor();
    await shot(page, `${slug}-ended`);
    await page.close();
  });

  it("keeps a workspace's page away from the API server (R21)", async () => {
    const server = await startDevServer({ title: 'hostile' });
    closing.push(() => server.stop());
    const id = workspace('Hostile', 'RUNNING');
    const page = await profile.newPage();
    await page.goto(url(server.port, id));
    const [tab] = await Promise.all([profile.waitForEvent('page'), page.getByRole('link', { name: 'Log in' }).click()]);
    await signIn(tab);
    await page.getByRole('heading', { name: 'hostile' }).waitFor();
    const outcome = await page.evaluate((control) => fetch(`${control}/api/v1/logout`,
      { method: 'POST', credentials: 'include', mode: 'no-cors' }).then((answer) => answer.type), `http://${DOMAIN}:${front}`);
    assert.equal(outcome, 'opaque');
    await page.reload();
    await page.getByRole('heading', { name: 'hostile' }).waitFor();
    assert.equal(postgres.sql('SELECT count(*) FROM sessions WHERE revoked_at IS NOT NULL'), '0');
  });
});
