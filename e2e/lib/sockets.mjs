// A dev server for WebSocket alone, on a loopback port of its own, over HTTP/1.1: echoes, closes
// when told, refuses, dies. It keeps what the handshakes said and how each socket ended; it knows
// nothing of a gateway.

import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { document } from './upstreams.mjs';

/**
 * Starts it on 127.0.0.1.
 *
 *   /          a page                         /echo     every message comes back; takes the
 *   /number    gives its query                          subprotocol `chat.v2`, and compression
 *   /refuse    403, with a page               /close    closes with the query's code and reason
 */
export async function startSocketServer() {
  const handshakes = [];
  const ends = [];
  const connections = new Set();
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://dev');
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
    response.end(url.pathname === '/number' ? url.search.slice(1) : document('sockets', '<h1>sockets</h1>'));
  });
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    socket.on('error', () => {}); // a visitor may leave at any time
  });

  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: { threshold: 0 },
    handleProtocols: (offered) => offered.has('chat.v2') && 'chat.v2',
  });
  server.on('upgrade', (request, socket, head) => {
    const { method, url, httpVersion, headers, rawHeaders } = request;
    handshakes.push({ method, url, httpVersion, headers, rawHeaders });
    const { pathname, searchParams } = new URL(url, 'http://dev');
    if (pathname === '/refuse') {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 11\r\n'
        + 'Connection: close\r\n\r\nnot for you');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      client.on('error', () => {});
      client.on('close', (code, reason) => ends.push({ url, code, reason: reason.toString() }));
      client.on('message', (data, binary) => client.send(data, { binary }));
      if (pathname === '/close') client.close(Number(searchParams.get('code')), searchParams.get('reason'));
    });
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });

  return {
    port: server.address().port,
    /** Every upgrade that was asked for. */
    handshakes,
    /** How each WebSocket ended: its URL, code and reason. */
    ends,
    /** WebSockets open now. */
    open: () => sockets.clients.size,
    /** Ends every connection in the middle of whatever it does, as a server that crashes. */
    kill: () => connections.forEach((socket) => socket.resetAndDestroy()),
    async stop() {
      connections.forEach((socket) => socket.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
