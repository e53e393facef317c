// A page of another site that shows an address inside itself, as a builder or an IDE in the browser
// does. It knows the address and nothing of a gateway; it looks at what the frame shows.

import { TLS_EMBEDDER } from './ca.mjs';
import { startDevServer } from './upstreams.mjs';

/** The origin of the embedding pages: another site than `portway.localhost` or `hub.test`. */
export function embedderOrigin(tls, port) {
  return tls ? `https://${TLS_EMBEDDER}:${port}` : `http://builder.localhost:${port}`;
}

/**
 * Starts the embedding site on a port; `tls` are certificate files. `show` gives the path of a page
 * whose frame named `app` shows an address, with attributes of its own if need be.
 */
export async function startEmbedder({ port = 0, tls } = {}) {
  const pages = {};
  const server = await startDevServer({ title: 'builder', port, tls, pages });
  let shown = 0;
  return {
    port: server.port,
    show(url, attributes = '') {
      const path = `/show/${++shown}`;
      pages[path] = '<!doctype html><meta charset="utf-8"><title>builder</title><link rel="icon" href="data:,">'
        + '<meta name="viewport" content="width=device-width"><h1>builder</h1>'
        + `<iframe name="app" src="${url}" ${attributes} style="width:100%;height:70vh"></iframe>`;
      return path;
    },
    stop: server.stop,
  };
}

/** What is written in the frame named `app`, once it has come; '' for an error of the browser's. */
export async function shownIn(page) {
  const frame = await (await page.waitForSelector('[name=app]')).contentFrame();
  await frame.waitForLoadState();
  if (frame.url().startsWith('chrome-error:')) return '';
  return frame.locator('body').innerText();
}
