// Socket.IO with its default client: it begins by polling and moves to a WebSocket.

import assert from 'node:assert/strict';

export default {
  slug: 'socketio',
  name: 'Socket.IO',
  port: 3000,
  // `httpServer.listen(3000)`, as in Socket.IO's own first example.
  binds: 'all',
  version: (project) => project.installed('socket.io'),
  command: () => ({ argv: ['node', 'index.js'] }),

  async open({ page, visit, socket }) {
    await visit();
    await page.getByText('connected by websocket').waitFor();
    await socket(/\/socket\.io\//);
  },

  async check(kit) {
    const polls = [];
    kit.page.on('response', (response) => {
      if (response.url().includes('transport=polling')) polls.push(response.status());
    });
    await this.open(kit);
    const history = await kit.page.evaluate(() => window.transports);
    // It may have moved on before the page hears that it is connected; that it polled first, the responses say.
    assert.equal(history.at(-1), 'websocket');
    assert.ok(polls.length > 0 && polls.every((status) => status === 200), `polls: ${polls}`);
    await kit.page.getByLabel('Message').fill('grüezi');
    await kit.page.getByRole('button', { name: 'Send' }).click();
    await kit.page.getByRole('listitem').filter({ hasText: /^grüezi$/ }).waitFor();
    return ['connects by polling', 'upgrades to WebSocket', 'a message comes back'];
  },
};
