// Dev servers on loopback ports of their own: what people run, and a record of what reached them.
// They know nothing of a gateway; a test asks them afterwards what they saw.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { WebSocketServer } from 'ws';

/**
 * Starts a dev server on 127.0.0.1 (`port` 0: any free one; `tls`: certFile and keyFile).
 *
 *   /            a page named `title`          /events    SSE; /tick?text=x sends one event
 *   /upload      LENGTH SHA256 of the body     /echo      WebSocket, every frame comes back
 *   /session     sets Flask's `session` cookie /headers   the request's fields as JSON
 *   `pages`      more pages by path: HTML, or { html, headers, status }
 *
 * Every request is kept in `requests`, every received byte in `bytes()`.
 */
export async function startDevServer({ title = 'dev server', port = 0, tls, pages = {} } = {}) {
  const requests = [];
  const chunks = [];
  const listeners = new Set();
  const sockets = new Set();

  const server = tls
    ? createTlsServer({ cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) })
    : createServer();
  const note = (request) => {
    const { method, url, headers, rawHeaders } = request;
    const entry = { method, url, headers, rawHeaders, body: '' };
    requests.push(entry);
    return entry;
  };

  server.on(tls ? 'secureConnection' : 'connection', (socket) => {
    sockets.add(socket);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {}); // a visitor may leave at any time
  });

  server.on('request', (request, response) => {
    const entry = note(request);
    const url = new URL(request.url, 'http://dev');
    const page = pages[url.pathname];
    if (page) {
      const { html = '', headers, status } = typeof page === 'string' ? { html: page } : page;
      request.on('data', (chunk) => { entry.body += chunk; });
      request.on('end', () => sendHtml(response, html, headers, status));
      return;
    }
    switch (url.pathname) {
      case '/':
        return sendHtml(response, document(title, `<h1>${title}</h1>`));
      case '/events':
        response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
        response.write(': open\n\n');
        listeners.add(response);
        return response.on('close', () => listeners.delete(response));
      case '/tick':
        listeners.forEach((one) => one.write(`data: ${url.searchParams.get('text')}\n\n`));
        response.writeHead(204);
        return response.end();
      case '/upload': {
        const hash = createHash('sha256');
        let length = 0;
        request.on('data', (chunk) => {
          hash.update(chunk);
          length += chunk.length;
        });
        return request.on('end', () => response.end(`${length} ${hash.digest('hex')}`));
      }
      case '/session':
        // What Flask sends: a signed cookie of this very name.
        response.setHeader('Set-Cookie', 'session=eyJ1c2VyIjoxfQ.Z0Hk1A.c2lnbmF0dXJl; HttpOnly; Path=/');
        return response.end('set');
      case '/headers':
        response.setHeader('Content-Type', 'application/json');
        return response.end(JSON.stringify(request.headers));
      case '/pixel.svg':
        response.setHeader('Content-Type', 'image/svg+xml');
        return response.end('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>');
      default:
        response.writeHead(404, { 'Content-Type': 'text/plain' });
        return response.end('no such page on the dev server');
    }
  });

  const echo = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    note(request);
    echo.handleUpgrade(request, socket, head, (client) => {
      client.on('message', (data, binary) => client.send(data, { binary }));
      client.on('error', () => {});
    });
  });

  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });

  return {
    port: server.address().port,
    requests,
    /** Every byte received so far on all connections, as text. */
    bytes: () => Buffer.concat(chunks).toString('latin1'),
    /** The requests for one path. */
    to: (path) => requests.filter((request) => request.url.split('?')[0] === path),
    /** WebSockets and event streams open now. */
    open: () => echo.clients.size + listeners.size,
    async stop() {
      sockets.forEach((socket) => socket.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A small HTML document without outside assets. */
export function document(title, body) {
  return `<!doctype html><meta charset="utf-8"><title>${title}</title>`
    + '<link rel="icon" href="data:,">' + body;
}

function sendHtml(response, html, headers = {}, status = 200) {
  response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', ...headers });
  response.end(html);
}
