// A real Redis of a run's own, without persistence. Knows how it is started, and redis-cli.

import { execFileSync, spawn } from 'node:child_process';
import { freePort } from './gateway.mjs';
import { eventually, within } from './wait.mjs';

/** Starts it; `ask()` gives one command's answer as redis-cli prints it, `stop()` ends it. */
export async function startRedis() {
  const port = await freePort();
  const server = spawn('redis-server', ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no'],
    { stdio: 'ignore' });
  const exited = new Promise((resolve) => server.on('exit', resolve));
  const ask = (...words) => execFileSync('redis-cli', ['-h', '127.0.0.1', '-p', String(port), ...words],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  await eventually('Redis to answer', () => {
    try {
      return ask('ping') === 'PONG';
    } catch {
      return false;
    }
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    ask,
    async stop() {
      server.kill('SIGTERM');
      await within('Redis to stop', exited);
    },
  };
}
