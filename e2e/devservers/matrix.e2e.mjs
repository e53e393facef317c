// Every dev server of servers/, as it is by default, through the gateway: first on the gateway's
// own host, then on another one, where a server on loopback must be told to listen on all addresses,
// or is reached by way of the IDE that runs beside it.
//
// Knows what must hold for all of them; what one of them shows a developer is known in its module.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { shot } from '../lib/browser.mjs';
import { visit } from '../lib/world.mjs';
import { openHosts, THERE } from './lib/hosts.mjs';
import { startIde } from './lib/ide.mjs';
import { openKit } from './lib/kit.mjs';
import { dialled, listening, startServer } from './lib/process.mjs';
import { freshProject } from './lib/project.mjs';
import { table, writeTable } from './lib/table.mjs';

const MODULES = join(dirname(fileURLToPath(import.meta.url)), 'servers');

const known = readdirSync(MODULES).filter((file) => file.endsWith('.mjs')).sort();
const wanted = process.env.PORTWAY_DEVSERVERS?.split(' ').filter(Boolean) ?? [];
const unknown = wanted.filter((slug) => !known.includes(`${slug}.mjs`));
assert.deepEqual(unknown, [], 'there is no such module in servers/');
const slugs = known.map((file) => file.slice(0, -'.mjs'.length))
  .filter((slug) => wanted.length === 0 || wanted.includes(slug));
const servers = await Promise.all(slugs.map(async (slug) => {
  const { default: server } = await import(join(MODULES, `${slug}.mjs`));
  assert.equal(server.slug, slug);
  return server;
}));

/** One line of the table for each server; what a round has seen is put into it. */
const rows = new Map(servers.map((server) => [server, { name: server.name, port: server.port, binds: server.binds, seconds: 0 }]));
const loopback = servers.filter((server) => server.binds === 'loopback');

/** Starts a server anew, lets `look` use it through the gateway, and ends it. */
async function withServer(hosts, server, { where, flagged = false }, look) {
  const { port } = server;
  assert.equal(listening(where, port), 'nothing', `port ${port} is free before`);
  const start = Date.now();
  const project = freshProject(server.dir ?? server.slug);
  const running = await startServer({ server, project, where, flagged });
  try {
    const origin = hosts.gateway.origin(port, where);
    const kit = await openKit({ server, project, running, profile: hosts.alice, origin });
    try {
      await look(kit);
    } catch (error) {
      await kit.shot('failed').catch(() => {});
      const browser = JSON.stringify(kit.problems, null, 2);
      throw new Error(`${error.message}\nin the browser: ${browser}\nits output: ${running.output().slice(-3000)}`, { cause: error });
    } finally {
      await kit.close();
    }
  } finally {
    await running.stop();
    rows.get(server).seconds += Math.round((Date.now() - start) / 1000);
  }
}

const wentWell = (kit) => assert.deepEqual(kit.problems, [], 'nothing went wrong in the browser');

describe('dev servers, as they are by default', () => {
  after(() => {
    const complete = [...rows.values()].filter((row) => row.seen && row.elsewhere && row.carried);
    if (complete.length) console.log(table(complete));
    if (process.env.PORTWAY_WRITE_DOCS === '1') {
      assert.equal(complete.length, known.length, 'only a run in which every server passes is written down');
      writeTable(complete);
    }
  });

  describe('by themselves', () => {
    let hosts;
    before(async () => { hosts = await openHosts({ name: 'devservers' }); });
    after(() => hosts?.close());

    for (const server of servers) {
      describe(server.name, () => {
        const { slug, port, binds } = server;
        const row = rows.get(server);

        it('passes its whole check on the gateway\'s host', async () => {
          await withServer(hosts, server, { where: 'here' }, async (kit) => {
            row.version = await server.version(kit.project);
            assert.equal(kit.running.binds(), binds, 'what it listens on by default');
            const seen = await server.check(kit);
            await kit.shot();
            wentWell(kit);
            row.seen = seen;
          });
        });

        if (binds === 'all') {
          it('opens on another host, as it is', async () => {
            await withServer(hosts, server, { where: 'there' }, async (kit) => {
              await server.open(kit);
              await kit.shot();
              wentWell(kit);
              row.elsewhere = 'opens';
              row.carried = 'not needed';
            });
          });
        } else {
          it('is a closed port on another host, and the page there says what to do', async () => {
            await withServer(hosts, server, { where: 'there' }, async ({ page, origin }) => {
              const response = await visit(page, `${origin}/`);
              assert.equal(response.status(), 502);
              await page.getByRole('heading', { name: new RegExp(`nothing is listening on port ${port}`, 'i') }).waitFor();
              const text = await page.locator('body').innerText();
              assert.ok(text.includes(server.flag), `the page says ${server.flag}: ${text}`);
              await shot(page, `devserver-${slug}-closed`);
            });
          });

          it(`opens on another host with ${server.flag}`, async () => {
            await withServer(hosts, server, { where: 'there', flagged: true }, async (kit) => {
              await server.open(kit);
              await kit.shot();
              wentWell(kit);
              row.elsewhere = `needs \`${server.flag}\``;
            });
          });
        }
      });
    }
  });

  if (loopback.length === 0) return;
  describe('by way of the IDE on another host', () => {
    let hosts, ide;
    before(async () => {
      hosts = await openHosts({ name: 'devservers-ide', extra: '[ide]\ncarry = true' });
      ide = await startIde();
    });
    after(async () => {
      await ide?.stop();
      await hosts?.close();
    });

    for (const server of loopback) {
      it(`${server.name} passes its whole check`, async () => {
        await withServer(hosts, server, { where: 'there' }, async (kit) => {
          assert.equal(kit.running.binds(), 'loopback', 'as it is by default');
          assert.equal(await dialled(THERE, server.port), 'ECONNREFUSED', 'there is no other way to it');
          await server.check(kit);
          await kit.shot('carried');
          wentWell(kit);
          assert.equal(kit.running.binds(), 'loopback', 'it still is');
          rows.get(server).carried = 'the same, as it is';
        });
      });
    }

    it('a port is closed while nothing listens, and its page opens by itself when something does', async () => {
      const server = loopback.at(-1);
      const page = await hosts.alice.newPage();
      const response = await visit(page, `${hosts.gateway.origin(server.port, 'there')}/`);
      assert.equal(response.status(), 502);
      assert.equal(response.headers()['portway-reason'], 'port-closed');
      await page.getByRole('heading', { name: /nothing is listening/i }).waitFor();
      const reloaded = page.waitForEvent('load');
      await withServer(hosts, server, { where: 'there' }, () => reloaded);
      assert.equal(await page.getByRole('heading', { name: /nothing is listening/i }).count(), 0);
      await page.close();
    });
  });
});
