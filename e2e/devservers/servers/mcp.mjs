// An MCP server over streamable HTTP, as the Python SDK runs it: it refuses foreign hosts and
// origins, and answers with streams of events. The client is a page of the same origin, as a
// developer's inspector is.

import assert from 'node:assert/strict';
import { activated, installed } from '../lib/python.mjs';

export default {
  slug: 'mcp',
  name: 'MCP server (Python SDK)',
  port: 8000,
  binds: 'loopback',
  flag: 'host="0.0.0.0"',
  version: () => installed('mcp', 'mcp'),
  command: ({ flagged }) => ({
    argv: flagged
      ? ['python', '-c', 'from server import mcp; mcp.run("streamable-http", host="0.0.0.0")']
      : ['python', 'server.py'],
    env: activated('mcp'),
  }),
  // It has no page: what a browser shows is a 404, from which the client is run.
  noise: [/status of 404 .*\.test\/(favicon\.ico)?\)$/],

  async open({ page, origin }) {
    const response = await page.goto(`${origin}/`);
    assert.equal(response.status(), 404);
    assert.equal(response.headers().server, 'uvicorn');
    const { answer, session } = await page.evaluate(call, { method: 'initialize', params: INITIALIZE });
    assert.equal(answer.result.serverInfo.name, 'Hello from MCP');
    return session;
  },

  async check(kit) {
    const { page } = kit;
    const session = await this.open(kit);
    assert.ok(session, 'the session is named in a header');
    await page.evaluate(call, { session, method: 'notifications/initialized' });
    const { answer } = await page.evaluate(call,
      { session, method: 'tools/call', params: { name: 'add', arguments: { a: 6, b: 7 } } });
    assert.equal(answer.result.content[0].text, '13');
    return ['a session', 'a tool called, its answer an event stream'];
  },
};

const INITIALIZE = {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo: { name: 'portway-test', version: '1' },
};

// Runs in the page: one message of the protocol, and the first event of its answer.
async function call({ session, method, params }) {
  const notification = method.startsWith('notifications/');
  const response = await fetch('/mcp', {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      ...(session && { 'Mcp-Session-Id': session, 'Mcp-Protocol-Version': '2025-06-18' }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', ...(!notification && { id: 1 }), method, params }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method}: ${response.status} ${text}`);
  const event = text.match(/^data: (\{.*\})\r?$/m)?.[1];
  return { answer: event && JSON.parse(event), session: response.headers.get('mcp-session-id') };
}
