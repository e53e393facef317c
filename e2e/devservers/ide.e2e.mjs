// The IDE of a workspace on another host, through the gateway: code-server's page, its WebSockets and
// its terminal, and the ways in which it leads to a dev server beside it.
//
// Knows how a person uses code-server. What it carries for the gateway is in matrix.e2e.mjs.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { visit } from '../lib/world.mjs';
import { openHosts } from './lib/hosts.mjs';
import { IDE_PORT, startIde } from './lib/ide.mjs';
import { openKit } from './lib/kit.mjs';
import { startServer } from './lib/process.mjs';
import { freshProject } from './lib/project.mjs';
import vite from './servers/vite.mjs';

describe('the IDE on another host', () => {
  let hosts, template, project, ide, server, kit, page;
  before(async () => {
    hosts = await openHosts({ name: 'ide', extra: '[ide]\ncarry = true' });
    await hosts.gateway.cli('port', 'set', 'there', String(IDE_PORT), '--profile', 'public');
    template = (await hosts.gateway.cli('url', 'there', '--vscode')).trim();
    ide = await startIde({ template });
    project = freshProject('vite');
    server = await startServer({ server: vite, project, where: 'there' });
    const origin = hosts.gateway.origin(IDE_PORT, 'there');
    kit = await openKit({ server: ide, project, running: ide, profile: hosts.alice, origin });
    page = kit.page;
  });
  after(async () => {
    await kit?.shot('end').catch(() => {});
    await kit?.close();
    await server?.stop();
    await ide?.stop();
    await hosts?.close();
  });

  const address = () => template.replace('{{port}}', String(vite.port));
  const portRow = () => page.getByRole('listitem', { name: `localhost:${vite.port} forwarded` });
  /** A button of the row in the Ports panel; they show when somebody points at it. */
  async function press(name) {
    await portRow().hover();
    await portRow().getByRole('button', { name }).click();
  }
  async function command(name) {
    await page.keyboard.press('F1');
    await page.locator('.quick-input-box input').fill(`>${name}`);
    await page.locator('.quick-input-list .monaco-list-row').filter({ hasText: name }).first().waitFor();
    await page.keyboard.press('Enter');
  }

  it('its page loads, and a file opens over its WebSockets', async () => {
    await kit.visit(`/?folder=${project.root}`);
    await page.getByRole('treeitem', { name: 'src' }).click();
    await page.getByRole('treeitem', { name: 'App.jsx' }).dblclick();
    await page.locator('.monaco-editor .view-lines').getByText('useState').first().waitFor();
    const works = (socket) => socket.url.includes('reconnectionToken=') && socket.received > 0 && !socket.closed;
    await kit.eventually('both WebSockets', () => kit.sockets.filter(works).length === 2);
    assert.equal(kit.sockets.length, 2, 'none was opened again');
    await kit.shot('file');
  });

  it('its terminal works, and programs in it know where ports are', async () => {
    await command('Terminal: Create New Terminal');
    await page.locator('.terminal.xterm').click();
    await page.keyboard.type('printf %s "$VSCODE_PROXY_URI" >told\n');
    await kit.eventually('the file to be written', () =>
      existsSync(project.file('told')) && readFileSync(project.file('told'), 'utf8') === template);
    await kit.shot('terminal');
  });

  it('its Ports panel gives a port the address that the gateway has for it', async () => {
    await command('Ports: Focus on Ports View');
    await page.getByRole('button', { name: 'Forward a Port' }).click();
    await page.keyboard.type(`${vite.port}\n`);
    await portRow().filter({ hasText: address() }).waitFor();
    await kit.shot('ports');
  });

  let token;
  it('the panel opens the port in a tab', async () => {
    const popup = page.waitForEvent('popup');
    await press('Open in Browser');
    const tab = await popup;
    await tab.waitForURL(address());
    await tab.getByRole('heading', { name: 'Get started' }).waitFor();
    const client = await tab.evaluate(() => fetch('/@vite/client').then((response) => response.text()));
    token = client.match(/wsToken = "([^"]+)"/)[1];
    await tab.close();
  });

  // The IDE's own frame lets nothing inside it open a window, so a login cannot begin there.
  it('once it was open in a tab, the panel shows it inside the IDE', async () => {
    await press('Preview in Editor');
    const frame = await kit.eventually('the port in a frame', () =>
      page.frames().find((one) => one.url().startsWith(address())));
    await frame.getByRole('heading', { name: 'Get started' }).waitFor();
    project.edit('src/App.jsx', 'Get started', 'Edited inside the IDE');
    await frame.getByRole('heading', { name: 'Edited inside the IDE' }).waitFor();
    await kit.shot('frame');
  });

  it('a page of the IDE\'s port opens a WebSocket of the dev server\'s', async () => {
    const first = await page.evaluate((url) => new Promise((resolve) => {
      const socket = new WebSocket(url, 'vite-hmr');
      socket.onmessage = ({ data }) => { socket.close(); resolve(data); };
      socket.onerror = () => resolve('refused');
    }), `${address().replace('http', 'ws')}?token=${token}`);
    assert.equal(first, '{"type":"connected"}');
  });
});

describe('an IDE that carries nothing', () => {
  let hosts, server;
  before(async () => {
    hosts = await openHosts({ name: 'ide-refuses', extra: '[ide]\ncarry = true' });
    server = await startServer({ server: vite, project: freshProject('vite'), where: 'there' });
  });
  after(async () => {
    await server?.stop();
    await hosts?.close();
  });

  const kinds = [['has a password', { auth: 'password' }], ['has its proxy turned off', { args: ['--disable-proxy'] }]];
  for (const [what, options] of kinds) {
    it(`${what}: the port is closed, on its page and to those who ask whether it opened`, async () => {
      const ide = await startIde(options);
      const page = await hosts.alice.newPage();
      try {
        const origin = hosts.gateway.origin(vite.port, 'there');
        for (const path of ['/', '/src/App.jsx']) {
          const response = await visit(page, `${origin}${path}`);
          assert.deepEqual([response.status(), response.headers()['portway-reason']], [502, 'port-closed'], path);
        }
        const asked = await page.evaluate(() => fetch('/.portway/port').then((response) => response.status));
        assert.equal(asked, 502);
      } finally {
        await page.close();
        await ide.stop();
      }
    });
  }
});
