// Beside code-hub: its database, its login and its API server, with the ten lines of configuration that its people write;
// behind an ingress that splits the control host, and as the front of all of it.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { shot } from '../lib/browser.mjs';
import { freePort } from '../lib/gateway.mjs';
import { openHub } from '../lib/hub.mjs';
import { eventually } from '../lib/wait.mjs';

for (const { way, slug, split } of [
  { way: 'behind nginx', slug: 'codehub', split: true },
  { way: 'as the front', slug: 'codehub-front', split: false },
]) describe(`beside code-hub, ${way}`, () => {
  let hub;
  before(async () => { hub = await openHub({ name: slug, split }); });
  after(() => hub?.close());

  it('goes on to the very address once somebody has logged in there, in a tab of its own', async () => {
    const server = await hub.devServer({ title: 'my app' });
    const id = hub.workspace('Atelier', 'RUNNING');
    const page = await hub.profile.newPage();
    const wanted = hub.url(server.port, id, '/?a=1&b=%2F#part');
    await eventually('the workspace to be known', async () => {
      await page.goto(wanted);
      return page.url().includes('/.portway/login');
    });
    await page.getByText(`${server.port}-${id}`).waitFor();
    await shot(page, `${slug}-login`);
    assert.equal(server.bytes(), '', 'a stranger reached the dev server');
    const [tab] = await Promise.all([hub.profile.waitForEvent('page'), page.getByRole('link', { name: 'Log in' }).click()]);
    await hub.signIn(tab);
    await page.getByRole('heading', { name: 'my app' }).waitFor();
    assert.equal(page.url(), wanted);
    await eventually('the tab of the login to be closed', () => tab.isClosed());
    // Nothing of the control plane's session reaches a workspace.
    const cookies = (await hub.profile.cookies()).filter((cookie) => cookie.name === 'session');
    assert.equal(cookies.length, 1);
    assert.ok(!server.bytes().includes(cookies[0].value));
    await page.goto(`${hub.control}/.portway/`);
    await page.getByRole('heading', { name: 'Atelier' }).waitFor();
    await shot(page, `${slug}-home`);
    await page.close();
  });

  it('starts a workspace that sleeps, says what is missing, and shows the app when it is there', async () => {
    const port = await freePort();
    const id = hub.workspace('Sleeper', 'STANDBY');
    const page = await hub.profile.newPage();
    await eventually('the workspace to be known', async () =>
      (await page.goto(hub.url(port, id))).headers()['portway-reason'] === 'workspace-starting');
    await page.getByRole('heading', { name: 'The workspace is starting' }).waitFor();
    await shot(page, `${slug}-starting`);
    // Stopping killed its dev servers, so the port is closed once it is up.
    await page.getByRole('heading', { name: `Nothing is listening on port ${port}` }).waitFor();
    await shot(page, `${slug}-started`);
    const server = await hub.devServer({ title: 'awake', port });
    await page.getByRole('heading', { name: 'awake' }).waitFor();
    assert.equal(page.url(), hub.url(port, id));

    // It is stopped under the open page: what the page asks is refused, and wakes nothing.
    assert.equal((await hub.patch(id, 'STANDBY')).status, 200);
    const ask = () => page.evaluate(() => fetch('/headers').then((answer) => answer.headers.get('Portway-Reason')));
    await eventually('the page to be told', async () => (await ask()) === 'workspace-asleep');
    assert.equal(hub.postgres.sql(`SELECT desired_state FROM workspaces WHERE id = '${id}'`), 'STANDBY');
    await page.close();
  });

  it('says that the limit is reached, and starts it once another was stopped', async () => {
    hub.postgres.sql('UPDATE workspaces SET deleted_at = now()');
    const running = [1, 2, 3].map((n) => hub.workspace(`Busy ${n}`, 'RUNNING'));
    const id = hub.workspace('One too many', 'STANDBY');
    const page = await hub.profile.newPage();
    const reason = async () => (await page.goto(hub.url(3000, id))).headers()['portway-reason'];
    await eventually('the limit to be told', async () => (await reason()) === 'workspace-limit');
    await page.getByRole('heading', { name: 'You run as many workspaces as you may' }).waitFor();
    await shot(page, `${slug}-limit`);
    // On the control host it says what runs; from there the visit goes on by itself.
    await page.getByRole('link', { name: 'See what runs' }).click();
    await page.getByRole('heading', { name: 'Your running workspaces' }).waitFor();
    await page.getByText('Busy 2', { exact: true }).first().waitFor();
    await shot(page, `${slug}-running`);
    await page.getByRole('button', { name: 'Stop Busy 1' }).click();
    await page.waitForURL(`${hub.url(3000, id)}**`);
    assert.equal(hub.postgres.sql(`SELECT desired_state FROM workspaces WHERE id = '${running[0]}'`), 'STANDBY');
    await eventually('it to be started', async () => (await reason()) !== 'workspace-limit');
    await page.close();
  });

  it('says why a login has ended when its person logs in elsewhere', async () => {
    const server = await hub.devServer({ title: 'still here' });
    const id = hub.workspace('Studio', 'RUNNING');
    const page = await hub.profile.newPage();
    await page.goto(hub.url(server.port, id));
    await page.getByRole('heading', { name: 'still here' }).waitFor();
    const other = await (await hub.browser.profile()).newPage();
    await other.goto(`${hub.control}/login`);
    await hub.signIn(other);
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
    const server = await hub.devServer({ title: 'hostile' });
    const id = hub.workspace('Hostile', 'RUNNING');
    const page = await hub.profile.newPage();
    await page.goto(hub.url(server.port, id));
    const [tab] = await Promise.all([hub.profile.waitForEvent('page'), page.getByRole('link', { name: 'Log in' }).click()]);
    await hub.signIn(tab);
    await page.getByRole('heading', { name: 'hostile' }).waitFor();
    const outcome = await page.evaluate((control) => fetch(`${control}/api/v1/logout`,
      { method: 'POST', credentials: 'include', mode: 'no-cors' }).then((answer) => answer.type), hub.control);
    assert.equal(outcome, 'opaque');
    await page.reload();
    await page.getByRole('heading', { name: 'hostile' }).waitFor();
    assert.equal(hub.postgres.sql('SELECT count(*) FROM sessions WHERE revoked_at IS NOT NULL'), '0');
  });
});
