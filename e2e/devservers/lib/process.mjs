// Dev servers as processes on one of two hosts, "here" and "there": started as by a developer,
// found by what they listen on, and ended with everything they have started.
//
// Knows how the kernel lists sockets; knows nothing of what a server serves.

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ARTEFACTS } from '../../lib/browser.mjs';
import { eventually, within } from '../../lib/wait.mjs';
import { CACHE } from './project.mjs';

/** A process that lives as long as the other host; its files in /proc are that host's. */
const THERE_PID = process.env.PORTWAY_THERE_PID;

/** Starting may compile a whole project. */
const START = 120_000;

const groups = new Set();
process.on('exit', () => groups.forEach(kill));

function kill(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** Addresses, as the kernel writes them, that mean "all", and that mean loopback. */
const ALL = /^0+$/;
const LOOPBACK = /^(0100007F|0{24}01000000|0{16}FFFF00000100007F)$/;

/**
 * What listens on a port of a host: 'nothing', 'loopback' or 'all'. Asked of the kernel and not
 * by connecting, since some servers compile at the first connection.
 */
export function listening(where, port) {
  const pid = where === 'there' ? THERE_PID : 'self';
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  const addresses = ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8').split('\n').slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, , state]) => state === '0A' && local.endsWith(`:${wanted}`))
      .map(([, local]) => local.split(':')[0]));
  if (addresses.length === 0) return 'nothing';
  if (addresses.some((one) => ALL.test(one))) return 'all';
  if (addresses.every((one) => LOOPBACK.test(one))) return 'loopback';
  return addresses.join(' ');
}

/** What becomes of a connection from this host: 'open', or the error's code. */
export function dialled(address, port) {
  return new Promise((resolve) => {
    const socket = connect(port, address);
    socket.on('connect', () => {
      socket.destroy();
      resolve('open');
    });
    socket.on('error', (error) => resolve(error.code));
  });
}

/**
 * Starts a server's command in its project on a host and waits until its port listens and its own
 * `ready` condition, if any, holds. It gets an environment with nothing of this machine's.
 */
export async function startServer({ server, project, where, flagged = false }) {
  const { argv, env = {} } = server.command({ cache: CACHE, project, flagged });
  const home = join(tmpdir(), 'home');
  mkdirSync(home, { recursive: true });
  const command = [
    ...(where === 'there' ? ['nsenter', `--net=/proc/${THERE_PID}/ns/net`] : []),
    // A process namespace: with its first process the kernel ends every other, however detached.
    'unshare', '--pid', '--mount-proc', '--fork', '--kill-child',
    ...argv,
  ];
  const child = spawn(command[0], command.slice(1), {
    cwd: project.root,
    detached: true, // a process group of its own
    env: {
      PATH: `${CACHE}/node/node_modules/node/bin:/usr/local/bin:/usr/bin:/bin`,
      HOME: home,
      TMPDIR: tmpdir(),
      LANG: 'C.UTF-8',
      ...env,
    },
    stdio: ['pipe', 'pipe', 'pipe'], // standard input stays open, as a terminal's does
  });
  if (child.pid) groups.add(child.pid);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += chunk; });
  const exited = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? signal));
  });
  exited.catch(() => {}); // looked at below, or when it is stopped

  const running = {
    where,
    /** What it has printed so far, without colours. */
    output: () => output.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, ''),
    /** What its port listens on. */
    binds: () => listening(where, server.port),
    /** Ends it and everything it has started, and waits until its port is closed. */
    async stop() {
      if (child.pid) kill(child.pid);
      await within(`${server.slug} to end`, exited);
      groups.delete(child.pid);
      await eventually(`port ${server.port} to close`, () => listening(where, server.port) === 'nothing');
      mkdirSync(ARTEFACTS, { recursive: true });
      const flag = flagged ? '-flagged' : '';
      writeFileSync(join(ARTEFACTS, `devserver-${server.slug}-${where}${flag}.log`), output);
    },
  };

  try {
    let ended;
    exited.then((how) => { ended = how; }, (error) => { ended = error.message; });
    await eventually(`${server.slug} to listen on port ${server.port}`, async () => {
      if (ended !== undefined) throw new Error(`${server.slug} ended before it was ready (${ended}):\n${output}`);
      return running.binds() !== 'nothing' && (!server.ready || await server.ready(running));
    }, START);
  } catch (error) {
    await running.stop();
    throw new Error(`${error.message}\n${running.output()}`);
  }
  return running;
}
