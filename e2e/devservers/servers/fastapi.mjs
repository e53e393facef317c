// FastAPI's `fastapi dev`: the interactive documentation calls the API, a path without its slash is
// redirected to an absolute URL, an event comes before its stream ends, and a WebSocket echoes.
//
// The documentation's own scripts come from a public CDN; the check answers for that one, with the
// files of the same package.

import assert from 'node:assert/strict';
import { activated, installed } from '../lib/python.mjs';

/** What it prints whenever it has started. */
const STARTED = 'Application startup complete';

export default {
  slug: 'fastapi',
  name: 'FastAPI',
  port: 8000,
  binds: 'loopback',
  flag: '--host 0.0.0.0',
  version: () => installed('fastapi', 'fastapi'),
  command: ({ flagged }) => ({
    argv: ['fastapi', 'dev', ...(flagged ? ['--host', '0.0.0.0'] : [])],
    env: activated('fastapi'),
  }),
  ready: (running) => running.output().includes(STARTED),

  async open({ page, project, visit }) {
    await page.route(/\/swagger-ui-dist@5\//, (route) => {
      const name = new URL(route.request().url()).pathname.split('/').pop();
      return route.fulfill({ path: project.file(`node_modules/swagger-ui-dist/${name}`) });
    });
    await page.route(/\/favicon\.png$/, (route) => route.fulfill({ body: '' }));
    await visit('/docs');
    await page.getByRole('heading', { name: /^FastAPI/ }).waitFor();
  },

  async check(kit) {
    const { page, origin, running, visit, edit, eventually } = kit;
    await this.open(kit);

    await page.getByRole('button', { name: 'POST /items/{name} Add' }).click();
    await page.getByRole('button', { name: 'Try it out' }).click();
    await page.getByPlaceholder('name').fill('lamp');
    await page.getByRole('button', { name: 'Execute' }).click();
    await page.locator('.live-responses-table').getByText('"added": "lamp"').waitFor();
    await page.locator('.request-url').getByText(`${origin}/items/lamp`, { exact: true }).waitFor();

    const response = await page.goto(`${origin}/items`);
    assert.equal(response.url(), `${origin}/items/`);
    const redirect = await response.request().redirectedFrom().response();
    assert.equal(redirect.status(), 307);
    assert.deepEqual(await response.json(), ['Hello from FastAPI']);

    // The stream ends once the page has heard its event, so that whoever waits for its end waits in vain.
    // Closing it would not do: an IDE in between keeps it open, and the server waits with its restart.
    const event = await kit.within('an event', page.evaluate(() => new Promise((resolve, reject) => {
      const source = new EventSource('/events');
      source.onmessage = async ({ data }) => {
        source.close();
        await fetch('/heard', { method: 'POST' });
        resolve(data);
      };
      source.onerror = () => reject(new Error('the event stream failed'));
    })));
    assert.equal(event, 'Hello from FastAPI');

    const echoed = await page.evaluate(() => new Promise((resolve, reject) => {
      const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/echo`);
      socket.onopen = () => socket.send('grüezi');
      socket.onmessage = ({ data }) => { socket.close(); resolve(data); };
      socket.onerror = () => reject(new Error('the WebSocket failed'));
    }));
    assert.equal(echoed, 'grüezi');

    edit('main.py', 'Hello from FastAPI', 'Hello again');
    await eventually('the server to start again', () => running.output().split(STARTED).length === 3);
    assert.deepEqual(await (await visit('/items/')).json(), ['Hello again']);
    return ['/docs and "Try it out"', 'a redirect for a slash', 'an event stream', 'a WebSocket', 'reloads after an edit'];
  },
};
