// A real PostgreSQL of a run's own, with code-hub's tables. Knows how it is started, and psql.

import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './gateway.mjs';
import { eventually, within } from './wait.mjs';

const SCHEMA = join(dirname(fileURLToPath(import.meta.url)), '../../crates/portway-testkit/src/codehub.sql');

/** The programs of the newest PostgreSQL that Debian has installed. */
const BIN = (() => {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => b - a) : [];
  return versions.length ? join(root, versions[0], 'bin') : '/usr/bin';
})();

/** It refuses to run as root. */
const asItself = (command, args) => (process.getuid() === 0
  ? ['setpriv', ['--reuid=postgres', '--regid=postgres', '--clear-groups', '--', command, ...args]]
  : [command, args]);

/** Starts it; `url` is the superuser's, `sql()` runs a text, `stop()` ends it and removes its files. */
export async function startPostgres() {
  const dir = mkdtempSync(join(tmpdir(), 'portway-pg-'));
  const data = join(dir, 'pg');
  mkdirSync(data);
  if (process.getuid() === 0) {
    const id = (flag) => Number(execFileSync('id', [flag, 'postgres']));
    chownSync(dir, id('-u'), id('-g'));
    chownSync(data, id('-u'), id('-g'));
  }
  const [initdb, args] = asItself(join(BIN, 'initdb'),
    ['--auth=trust', '--username=postgres', '--encoding=UTF8', '--locale=C', '--no-sync', '-D', data]);
  execFileSync(initdb, args, { stdio: 'ignore' });
  const port = await freePort();
  const [command, words] = asItself(join(BIN, 'postgres'),
    ['-D', data, '-k', '', '-h', '127.0.0.1', '-p', String(port), '-c', 'fsync=off']);
  const server = spawn(command, words, { stdio: 'ignore' });
  const exited = new Promise((resolve) => server.on('exit', resolve));
  const psql = (database, text) => execFileSync('psql',
    ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', '-d', database],
    { input: text, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] }).trim();
  await eventually('PostgreSQL to answer', () => {
    try {
      return psql('postgres', 'SELECT 1') === '1';
    } catch {
      return false;
    }
  });
  psql('postgres', 'CREATE DATABASE codehub');
  psql('codehub', readFileSync(SCHEMA, 'utf8'));
  return {
    url: `postgres://postgres@127.0.0.1:${port}/codehub`,
    sql: (text) => psql('codehub', text),
    async stop() {
      server.kill('SIGQUIT');
      await within('PostgreSQL to stop', exited);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
