// WebSocket over HTTP/2 (RFC 8441): Chromium opens them on the connection that the page came by,
// and a dev server that speaks HTTP/1.1 sees an ordinary upgrade.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { startSocketServer } from '../lib/sockets.mjs';
import { eventually, within } from '../lib/wait.mjs';
import { logIn, logOut, openWorld, visit } from '../lib/world.mjs';

/** How soon an open stream must end after its right has gone (R53), in milliseconds. */
const CUT = 5000;
const MANY = 50;

/** TCP connections of this machine that are established to a port of 127.0.0.1. */
function connectionsTo(port) {
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readFileSync('/proc/net/tcp', 'latin1').split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , remote, state]) => remote === address && state === '01').length;
}

describe('WebSocket over HTTP/2', () => {
  let world, alice, server, origin, page;
  before(async () => {
    world = await openWorld({ tls: true, name: 'websocket-h2' });
    alice = await world.person('alice');
    await world.workspace('alpha', 'alice');
    server = await startSocketServer();
    origin = world.gateway.origin(server.port, 'alpha');
    page = await open();
  });
  after(async () => {
    await server?.stop();
    await world?.close();
  });

  async function open() {
    const tab = await alice.newPage();
    await visit(tab, `${origin}/`);
    await tab.getByRole('heading', { name: 'sockets' }).waitFor();
    await tab.evaluate(helpers);
    return tab;
  }

  /** The access-log lines of tunnels to `path`, once there are `count`. */
  function tunnels(path, count = 1) {
    return eventually(`${count} tunnels to ${path} in the log`, () => {
      const lines = world.gateway.log.filter((line) => line.path === path && line.status === 200);
      return lines.length >= count && lines;
    });
  }

  it('Chromium asks for it on the connection of the page, and is answered 200', async () => {
    const client = await alice.newCDPSession(page);
    await client.send('Network.enable');
    const answered = new Promise((resolve) => client.on('Network.webSocketHandshakeResponseReceived', resolve));
    const seen = await page.evaluate(async () => {
      const hop = performance.getEntriesByType('navigation')[0].nextHopProtocol;
      const socket = await opened('/echo?first');
      socket.close(1000);
      await ended(socket);
      return hop;
    });
    assert.equal(seen, 'h2');
    const { response } = await within('the handshake to be told', answered);
    assert.equal(response.status, 200, JSON.stringify(response));
    const names = Object.keys(response.headers).map((name) => name.toLowerCase());
    for (const name of ['connection', 'upgrade', 'sec-websocket-accept']) assert.ok(!names.includes(name), name);
    const [line] = await tunnels('/echo');
    assert.deepEqual([line.protocol, line.reason, line.status], ['h2', 'tunnel', 200], JSON.stringify(line));
    await client.detach();
  });

  it('the dev server saw an ordinary upgrade, as from localhost', () => {
    const [{ method, httpVersion, url, headers, rawHeaders }] = server.handshakes;
    assert.deepEqual([method, url, httpVersion], ['GET', '/echo?first', '1.1']);
    assert.match(headers.connection, /^upgrade$/i);
    assert.match(headers.upgrade, /^websocket$/i);
    assert.equal(headers['sec-websocket-version'], '13');
    assert.equal(Buffer.from(headers['sec-websocket-key'], 'base64').length, 16);
    assert.equal(headers.host, `localhost:${server.port}`);
    assert.equal(headers.origin, `http://localhost:${server.port}`);
    assert.doesNotMatch(JSON.stringify(rawHeaders), /__Host-portway|portway_|x-portway|:protocol/i);
  });

  it('subprotocol and compression are agreed with the dev server', async () => {
    const agreed = await page.evaluate(async () => {
      const socket = await opened('/echo?agree', ['chat.v1', 'chat.v2']);
      const { protocol, extensions } = socket;
      const back = await said(socket, 'a'.repeat(10_000));
      socket.close(1000);
      return { protocol, extensions, length: back.length };
    });
    assert.equal(agreed.protocol, 'chat.v2');
    assert.match(agreed.extensions, /^permessage-deflate/);
    assert.equal(agreed.length, 10_000);
    const [handshake] = server.handshakes.filter(({ url }) => url === '/echo?agree');
    assert.equal(handshake.headers['sec-websocket-protocol'], 'chat.v1, chat.v2');
    assert.match(handshake.headers['sec-websocket-extensions'], /permessage-deflate/);
  });

  it('messages of every size come back, text and binary', async () => {
    const sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000];
    const wrong = await page.evaluate(async (sizes) => {
      const socket = await opened('/echo?sizes');
      socket.binaryType = 'arraybuffer';
      const wrong = [];
      for (const size of sizes) {
        const text = 'ü'.repeat(size);
        if ((await said(socket, text)) !== text) wrong.push(`text of ${size}`);
        const bytes = new Uint8Array(size).map((_, at) => (at * 31) ^ (at >> 8));
        const back = new Uint8Array(await said(socket, bytes));
        if (back.length !== size || back.some((byte, at) => byte !== bytes[at])) wrong.push(`binary of ${size}`);
      }
      socket.close(1000);
      return wrong;
    }, sizes);
    assert.deepEqual(wrong, []);
  });

  it('close codes and reasons pass both ways', async () => {
    const fromServer = await page.evaluate(async () => {
      const ends = [];
      for (const [code, reason] of [[1000, 'done'], [1001, 'away'], [4321, 'grüezi']]) {
        ends.push(await ended(new WebSocket(`${here}/close?code=${code}&reason=${encodeURIComponent(reason)}`)));
      }
      return ends;
    });
    assert.deepEqual(fromServer, [
      { code: 1000, reason: 'done', clean: true },
      { code: 1001, reason: 'away', clean: true },
      { code: 4321, reason: 'grüezi', clean: true },
    ]);
    const fromPage = await page.evaluate(async () => {
      const socket = await opened('/echo?closing');
      socket.close(4567, 'enough');
      return ended(socket);
    });
    assert.deepEqual(fromPage, { code: 4567, reason: 'enough', clean: true });
    const end = await eventually('the server to see it', () => server.ends.find(({ url }) => url === '/echo?closing'));
    assert.deepEqual(end, { url: '/echo?closing', code: 4567, reason: 'enough' });
  });

  it('a refusal by the dev server is a failed handshake, and leaves the connection well', async () => {
    const end = await page.evaluate(() => ended(new WebSocket(`${here}/refuse`)));
    assert.deepEqual(end, { code: 1006, reason: '', clean: false });
    assert.equal(await page.evaluate(() => fetch('/number?7').then((answer) => answer.text())), '7');
    const line = await eventually('the refusal in the log', () =>
      world.gateway.log.find((line) => line.path === '/refuse'));
    assert.deepEqual([line.protocol, line.status], ['h2', 403]);
  });

  it('a dev server that dies is an abnormal close', async () => {
    const end = page.evaluate(async () => {
      const socket = await opened('/echo?dying');
      await said(socket, 'alive');
      window.alive = true;
      return ended(socket);
    });
    await page.waitForFunction('window.alive');
    server.kill();
    assert.deepEqual(await within('the WebSocket to end', end), { code: 1006, reason: '', clean: false });
  });

  it(`${MANY} WebSockets and ${MANY} fetches at once over one connection`, async () => {
    const before = server.open();
    const connections = connectionsTo(world.gateway.port);
    const answers = await page.evaluate(async (many) => {
      const numbers = Array.from({ length: many }, (_, at) => String(at));
      window.held = await Promise.all(numbers.map((at) => opened(`/echo?many=${at}`)));
      const echoes = Promise.all(numbers.map((at) => said(window.held[at], at)));
      const fetches = Promise.all(numbers.map((at) => fetch(`/number?${at}`).then((answer) => answer.text())));
      return { numbers, echoes: await echoes, fetches: await fetches };
    }, MANY);
    assert.deepEqual(answers.echoes, answers.numbers);
    assert.deepEqual(answers.fetches, answers.numbers);
    assert.equal(server.open() - before, MANY);
    assert.equal(connectionsTo(world.gateway.port), connections, 'no further connection');
    await page.evaluate(() => window.held.forEach((socket) => socket.close()));
    const lines = await tunnels('/echo', MANY);
    assert.deepEqual([...new Set(lines.map(({ protocol }) => protocol))], ['h2']);
  });

  it('logging out cuts it', async () => {
    const tab = await open();
    const end = tab.evaluate(async () => {
      const socket = await opened('/echo?cut');
      await said(socket, 'alive');
      window.alive = true;
      return ended(socket);
    });
    await tab.waitForFunction('window.alive');
    await logOut(alice, world.gateway);
    assert.deepEqual(await within('the WebSocket to be cut', end, CUT), { code: 1006, reason: '', clean: false });
    await eventually('the dev server to see it end', () => server.ends.some(({ url }) => url === '/echo?cut'));
    const known = server.handshakes.length;
    assert.equal((await tab.evaluate(() => ended(new WebSocket(`${here}/echo?after`)))).code, 1006);
    assert.equal(server.handshakes.length, known);
    await logIn(alice, 'alice', await world.gateway.newLink('alice'));
  });
});

// Runs in the page: what the scenario's scripts there share.
function helpers() {
  window.here = location.origin.replace('http', 'ws');
  window.opened = (path, protocols = []) => new Promise((resolve, reject) => {
    const socket = new WebSocket(`${here}${path}`, protocols);
    socket.onopen = () => resolve(socket);
    socket.onerror = () => reject(new Error(`no WebSocket to ${path}`));
  });
  window.said = (socket, data) => new Promise((resolve) => {
    socket.onmessage = ({ data }) => resolve(data);
    socket.send(data);
  });
  window.ended = (socket) => new Promise((resolve) => {
    socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, clean: wasClean });
  });
}
