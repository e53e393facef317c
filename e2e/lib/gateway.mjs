// The gateway as a process: started on free ports, read through its JSON log, always ended.
// Knows the command line and the configuration keys; knows nothing of pages.

import { spawn, execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ARTEFACTS } from './browser.mjs';
import { TLS_DOMAIN } from './ca.mjs';
import { eventually, patience, within } from './wait.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** The binary under test: PORTWAY_BIN, or the one that `scripts/test build` makes. */
const BINARY = process.env.PORTWAY_BIN
  ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'quick', 'portway');

/** The environment without settings of the gateway's that happen to be there. */
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('PORTWAY_')));

/** Where workspaces are unless a test says otherwise: this machine. */
export const LOOPBACK = ['127.0.0.0/8', '::1/128'];

/** Process groups that must not outlive this run, whatever happens. */
const groups = new Set();
process.on('exit', () => groups.forEach(killGroup));

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** A port of loopback that was free a moment ago. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

let started = 0;

/**
 * Starts a gateway with a fresh data folder and waits until it is ready.
 *
 * Without `authority` it is the embedded default: plain HTTP under `portway.localhost`. With one
 * it serves TLS under `hub.test` from a configuration file, on a free port unless `tlsPort` names
 * one. `extra` is added to that file, or is the default's, `workspaces` to its table of that name; `plainPort` is where it
 * serves plain HTTP; `allow` are the ranges that workspaces
 * may be in, where there is a file. With `demo`, the embedded default has its sample workspace.
 */
export async function startGateway({
  authority, tlsPort, demo = false, extra = '', workspaces = '', plainPort = 0, allow = LOOPBACK, name = `gateway-${++started}`,
} = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'portway-e2e-'));
  const data = join(dir, 'data');
  const args = ['--data', data];
  const serve = [];
  const domain = authority ? TLS_DOMAIN : 'portway.localhost';
  if (authority) {
    // The public origin of a domain is configured, so its port must be known beforehand.
    tlsPort ??= await freePort();
    const config = join(dir, 'portway.toml');
    writeFileSync(config, `
domain = "${TLS_DOMAIN}"
public = "https://${TLS_DOMAIN}${suffix(tlsPort)}"
listen = ["127.0.0.1:0"]
ops = "127.0.0.1:0"
${extra}
[tls]
listen = ["127.0.0.1:${tlsPort}"]
[[tls.certificates]]
cert = "${authority.certFile}"
key = "${authority.keyFile}"
[workspaces]
allow = ${JSON.stringify(allow)}
`);
    args.push('--config', config);
  } else {
    serve.push('--listen', `127.0.0.1:${plainPort}`, '--ops', '127.0.0.1:0');
    if (extra) {
      const config = join(dir, 'portway.toml');
      writeFileSync(config, `${extra}\n[workspaces]\nallow = ${JSON.stringify(allow)}\n${workspaces}\n`);
      args.push('--config', config);
    }
    if (demo) serve.push('--demo');
  }

  const child = spawn(BINARY, ['serve', ...args, ...serve], {
    detached: true, // a process group of its own
    env: ENVIRONMENT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const pid = child.pid;
  if (pid) groups.add(pid);
  const log = [];
  const said = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    said.push(line);
    try {
      log.push(JSON.parse(line));
    } catch {
      log.push({ text: line });
    }
  });
  createInterface({ input: child.stderr }).on('line', (line) => said.push(line));
  const exited = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve({ code, signal }));
  });
  exited.catch(() => {}); // looked at below, or when it is stopped

  const keepLog = () => {
    mkdirSync(ARTEFACTS, { recursive: true });
    writeFileSync(join(ARTEFACTS, `${name}.log`), `${said.join('\n')}\n`);
  };
  const discard = () => {
    if (pid) killGroup(pid);
    groups.delete(pid);
    keepLog();
    rmSync(dir, { recursive: true, force: true });
  };

  try {
    const ended = exited.then(({ code, signal }) => {
      throw new Error(`the gateway ended before it was ready (${code ?? signal}):\n${said.join('\n')}`);
    });
    const ready = eventually('the gateway to be ready', () => log.some((l) => l.event === 'ready'));
    await Promise.race([ready, ended]);
    ended.catch(() => {});
  } catch (error) {
    discard();
    throw error;
  }

  const address = (listener) =>
    log.find((line) => line.event === 'listening' && line.listener === listener)?.address;
  const scheme = authority ? 'https' : 'http';
  const port = tlsPort ?? Number(address('plain').split(':').pop());

  return {
    port,
    domain,
    log,
    /** Everything it printed so far, for people too. */
    said: () => said.join('\n'),
    /** The address a listener (`plain`, `tls`, `ops`) logged. */
    address,
    /** Origin of the control host. */
    control: `${scheme}://${domain}${suffix(port)}`,
    /** Origin of one port of a workspace. */
    origin: (target, workspace) => `${scheme}://${target}-${workspace}.${domain}${suffix(port)}`,

    /** Runs a command on the same data and gives its standard output; fails when it fails. */
    cli: (...command) => run([...command, ...args]),

    /** Makes a user and gives the one-time login link that is printed. */
    async addUser(user) {
      return linkIn(await this.cli('user', 'add', user));
    },
    /** Another one-time login link for a user. */
    async newLink(user) {
      return linkIn(await this.cli('user', 'link', user));
    },

    /** Gives a user a password, as from a terminal's pipe. */
    setPassword: (user, password) => run(['user', 'password', user, ...args], `${password}\n`),

    /** Stops it as an operator would; throws unless it says that all went well. */
    async stop() {
      try {
        child.kill('SIGTERM');
        const { code, signal } = await within('the gateway to stop', exited);
        if (code !== 0) throw new Error(`the gateway ended with ${code ?? signal}:\n${said.join('\n')}`);
      } finally {
        discard();
      }
    },
  };
}

/** A port as origins spell it: the scheme's own is left out. Plain HTTP is never on 80 here. */
function suffix(port) {
  return port === 443 ? '' : `:${port}`;
}

function run(command, input = '') {
  return new Promise((resolve, reject) => {
    const child = execFile(BINARY, command, { timeout: patience, env: ENVIRONMENT }, (error, stdout, stderr) => {
      if (error) reject(new Error(`portway ${command.join(' ')}: ${error.message}\n${stderr}`));
      else resolve(stdout);
    });
    child.stdin.on('error', () => {}); // a command need not read its input
    child.stdin.end(input);
  });
}

function linkIn(output) {
  const link = output.match(/https?:\/\/\S+/)?.[0];
  if (!link) throw new Error(`no link in: ${output}`);
  return link;
}
