// Working on a port as developers do, over plain HTTP and over TLS: WebSocket, SSE, uploads,
// forms, and cookies of their own.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { document, startDevServer } from '../lib/upstreams.mjs';
import { openWorld, visit, WAYS } from '../lib/world.mjs';

/** A page whose form is sent with `Origin: null`, and the page it is sent to. */
const PAGES = {
  '/form': {
    html: document('form', '<form method="post" action="/submit"><input name="word" value="hello">'
      + '<button>Send</button></form>'),
    headers: { 'Referrer-Policy': 'no-referrer' },
  },
  '/submit': document('submitted', '<h1>submitted</h1>'),
};

for (const { way, slug, tls } of WAYS) {
  describe(`working on a private port over ${way}`, () => {
    let world, profile, server, page;
    before(async () => {
      world = await openWorld({ tls, name: `working-${slug}` });
      profile = await world.person('alice');
      await world.workspace('alpha', 'alice');
      server = await world.devServer({ title: 'work', pages: PAGES });
      page = await profile.newPage();
      await visit(page, `${world.gateway.origin(server.port, 'alpha')}/`);
      await page.getByRole('heading', { name: 'work' }).waitFor();
    });
    after(() => world?.close());

    it('the browser speaks the protocol it would in production', async () => {
      const protocol = await page.evaluate(
        () => performance.getEntriesByType('navigation')[0].nextHopProtocol);
      assert.equal(protocol, tls ? 'h2' : 'http/1.1');
    });

    it('WebSocket messages come back, text and binary, small and large', async () => {
      const sizes = [0, 1, 125, 126, 65_536, 1_000_000];
      const echoed = await page.evaluate(async (sizes) => {
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/echo`);
        socket.binaryType = 'arraybuffer';
        await new Promise((resolve, reject) => {
          socket.onopen = resolve;
          socket.onerror = () => reject(new Error('the WebSocket failed'));
        });
        const ask = (data) => new Promise((resolve) => {
          socket.onmessage = ({ data }) => resolve(data);
          socket.send(data);
        });
        const text = await ask('grüezi');
        const lengths = [];
        for (const size of sizes) {
          const sent = new Uint8Array(size).map((_, at) => at * 31);
          const back = new Uint8Array(await ask(sent));
          lengths.push(back.every((byte, at) => byte === sent[at]) ? back.length : -1);
        }
        socket.close(1000);
        const code = await new Promise((resolve) => { socket.onclose = (e) => resolve(e.code); });
        return { text, lengths, code };
      }, sizes);
      assert.deepEqual(echoed, { text: 'grüezi', lengths: sizes, code: 1000 });
    });

    it('each server-sent event arrives at once, before the next is made', async () => {
      const heard = await page.evaluate(async () => {
        const source = new EventSource('/events');
        await new Promise((resolve) => { source.onopen = resolve; });
        const heard = [];
        for (const text of ['one', 'two', 'three']) {
          const event = new Promise((resolve) => { source.onmessage = resolve; });
          await fetch(`/tick?text=${text}`);
          heard.push((await event).data);
        }
        source.close();
        return heard;
      });
      assert.deepEqual(heard, ['one', 'two', 'three']);
    });

    it('an upload of 32 MiB arrives whole', async () => {
      const size = 32 * 1024 * 1024;
      const { answer, expected } = await page.evaluate(async (size) => {
        const body = new Uint8Array(size);
        const block = 65_536; // what getRandomValues gives at most
        for (let at = 0; at < size; at += block) crypto.getRandomValues(body.subarray(at, at + block));
        const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
        const response = await fetch('/upload', { method: 'POST', body });
        const hex = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
        return { answer: await response.text(), expected: `${body.length} ${hex}` };
      }, size);
      assert.equal(answer, expected);
    });

    // Chromium streams uploads over HTTP/2 only.
    if (tls) it('an upload whose length nobody knows beforehand arrives whole', async () => {
      const answer = await page.evaluate(async () => {
        let part = 0;
        const body = new ReadableStream({
          pull(controller) {
            if (part++ < 10) controller.enqueue(new TextEncoder().encode('0123456789'.repeat(1000)));
            else controller.close();
          },
        });
        return (await fetch('/upload', { method: 'POST', body, duplex: 'half' })).text();
      });
      const expected = createHash('sha256').update('0123456789'.repeat(10_000)).digest('hex');
      assert.equal(answer, `100000 ${expected}`);
    });

    it("Flask's own session cookie passes both ways", async () => {
      const headers = await page.evaluate(async () => {
        await fetch('/session');
        return (await fetch('/headers')).json();
      });
      assert.equal(headers.cookie, 'session=eyJ1c2VyIjoxfQ.Z0Hk1A.c2lnbmF0dXJl');
    });

    it('a form under Referrer-Policy: no-referrer is taken', async () => {
      await page.goto(`${world.gateway.origin(server.port, 'alpha')}/form`);
      await page.getByRole('button', { name: 'Send' }).click();
      await page.getByRole('heading', { name: 'submitted' }).waitFor();
      assert.equal(server.to('/submit').at(-1).body, 'word=hello');
    });

    it('a dev server that comes back is found again', async () => {
      const other = await startDevServer({ title: 'before' });
      const url = `${world.gateway.origin(other.port, 'alpha')}/`;
      await page.goto(url);
      assert.equal(await page.title(), 'before');
      await other.stop();
      const again = await world.devServer({ title: 'after', port: other.port });
      await page.goto(url);
      assert.equal(await page.title(), 'after');
      assert.ok(again.requests.length > 0);
    });

    it('nothing of a login reached the dev server', () => {
      assert.match(server.bytes(), /session=eyJ/, 'cookies of the app were seen at all');
      assert.doesNotMatch(server.bytes(), /__Host-portway|portway_login/i);
    });
  });
}
