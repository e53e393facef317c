// What a server's check gets: a page of a person who may open its port, edits to its sources, and
// a memory of everything that went wrong in the browser. Knows no server.

import assert from 'node:assert/strict';
import { shot } from '../../lib/browser.mjs';
import { eventually, within } from '../../lib/wait.mjs';
import { visit } from '../../lib/world.mjs';

/** Hosts that lead to a server without the gateway: this machine, and addresses. */
const NUMBERS = /^(localhost|[\d.]+|\[.*\])$/;

/** A person's page for `server`, which runs as `running` from `project`, at `origin`. */
export async function openKit({ server, project, running, profile, origin }) {
  const page = await profile.newPage();
  const problems = [];
  const sockets = [];
  const expected = server.noise ?? [];
  const problem = (text) => {
    if (!expected.some((one) => one.test(text))) problems.push(text);
  };
  page.on('console', (message) => {
    const at = message.location().url;
    const text = `${message.text()}${at ? ` (${at})` : ''}`;
    // A warning is a server's own affair, unless it is about the way to the server.
    if (message.type() === 'error') problem(text);
    if (message.type() === 'warning' && /websocket|blocked|\bhost\b|origin/i.test(text)) problem(text);
  });
  page.on('pageerror', (error) => problem(`uncaught: ${error.message}`));
  // On the gateway's own host the browser could reach the server without it, and must not.
  const past = (url) => {
    const { protocol, origin: asked, hostname } = new URL(url);
    if (/^(http|ws)s?:$/.test(protocol) && asked.replace(/^ws/, 'http') !== origin && NUMBERS.test(hostname)) {
      problem(`past the gateway: ${url}`);
    }
  };
  page.on('request', (request) => past(request.url()));
  page.on('websocket', (socket) => {
    past(socket.url());
    const entry = { url: socket.url(), received: 0, sent: 0, closed: false, error: undefined };
    sockets.push(entry);
    socket.on('framereceived', () => { entry.received += 1; });
    socket.on('framesent', () => { entry.sent += 1; });
    socket.on('close', () => { entry.closed = true; });
    socket.on('socketerror', (error) => { entry.error = error; });
  });

  return {
    page,
    profile,
    origin,
    project,
    running,
    where: running.where,
    eventually,
    within,
    /** Everything that went wrong in the browser so far. */
    problems,
    /** Every WebSocket of the page: { url, received, sent, closed, error }. */
    sockets,

    /** Opens a path as a person does; it must answer well, over HTTP/2. Gives the response. */
    async visit(path = '/') {
      const response = await visit(page, `${origin}${path}`);
      const text = response.status() < 400 ? '' : await response.text().catch(() => '');
      assert.ok(response.status() < 400, `${path} answers ${response.status()}: ${text.slice(0, 500)}`);
      const protocol = await page.evaluate(
        () => performance.getEntriesByType('navigation')[0].nextHopProtocol);
      assert.equal(protocol, 'h2');
      return response;
    },
    /** Waits for an open WebSocket of this origin that has brought something. */
    socket: (pattern = /./) => eventually(`a WebSocket ${pattern}`, () =>
      sockets.find((one) => one.url.startsWith(origin.replace('http', 'ws')) && pattern.test(one.url)
        && one.received > 0 && !one.closed && !one.error)),
    /** Edits a source file as a developer does: the one place that says `from`. */
    edit: (file, from, to) => project.edit(file, from, to),
    /** Marks the window, so that a reload can be told. */
    mark: () => page.evaluate(() => { window.portwayMark = true; }),
    /** Whether the window is still the one that was marked. */
    marked: () => page.evaluate(() => window.portwayMark === true),
    shot: (name = '') => shot(page, `devserver-${server.slug}-${running.where}${name && `-${name}`}`),
    close: () => page.close(),
  };
}
