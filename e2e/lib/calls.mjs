// What a page does with another port of its own workspace: a fetch that needs a preflight, one that
// reads headers, a WebSocket, an event stream, an image. It knows the port's origin and nothing of
// what makes this work.

/** Pages that a dev server needs for [`calls`]; of CORS it says only which headers to show. */
export const CALLED = {
  '/api': {
    html: '{"ok":true}',
    headers: { 'Content-Type': 'application/json', 'X-App': 'one', 'Access-Control-Expose-Headers': 'X-App' },
  },
};

/** What [`calls`] gives where all of it works. */
export const ALL_WORK = {
  put: '200 {"ok":true}',
  get: '200 one',
  socket: 'echoed grüezi',
  events: 'heard one',
  image: 'loaded',
};

/** Makes every call from `page` to `other` at once, and says what came of each. */
export function calls(page, other) {
  return page.evaluate(attempts, other);
}

/** One credentialed fetch of `url`: what the page can read of its answer. */
export function ask(page, url) {
  return page.evaluate((url) => fetch(url, { credentials: 'include' }).then(
    async (answer) => ({
      status: answer.status,
      reason: answer.headers.get('Portway-Reason'),
      text: await answer.text(),
    }),
    (error) => ({ error: error.message }),
  ), url);
}

/** What one WebSocket to `url` does: `open` or `refused`. */
export function knock(page, url) {
  return page.evaluate((url) => new Promise((resolve) => {
    const socket = new WebSocket(url.replace('http', 'ws'));
    socket.onopen = () => resolve('open');
    socket.onerror = () => resolve('refused');
  }), url);
}

/** What becomes of one image: `loaded` or `refused`. */
export function picture(page, url) {
  return page.evaluate((src) => new Promise((resolve) => {
    const image = Object.assign(new Image(), { src });
    image.onload = () => resolve('loaded');
    image.onerror = () => resolve('refused');
  }), url);
}

// Runs in the page.
async function attempts(other) {
  const credentials = 'include';
  const tried = {
    async put() {
      const headers = { 'Content-Type': 'application/json', 'X-Custom': 'ours' };
      const answer = await fetch(`${other}/api`, { method: 'PUT', credentials, headers, body: '{"word":1}' });
      return `${answer.status} ${await answer.text()}`;
    },
    async get() {
      const answer = await fetch(`${other}/api`, { credentials });
      return `${answer.status} ${answer.headers.get('X-App')}`;
    },
    async socket() {
      const socket = new WebSocket(`${other.replace('http', 'ws')}/echo`);
      return new Promise((resolve, reject) => {
        socket.onerror = () => reject(new Error('no WebSocket'));
        socket.onmessage = ({ data }) => resolve(`echoed ${data}`);
        socket.onopen = () => socket.send('grüezi');
      }).finally(() => socket.close());
    },
    async events() {
      const source = new EventSource(`${other}/events`, { withCredentials: true });
      return new Promise((resolve, reject) => {
        source.onerror = () => reject(new Error('no event stream'));
        source.onmessage = ({ data }) => resolve(`heard ${data}`);
        source.onopen = () => fetch(`${other}/tick?text=one`, { credentials });
      }).finally(() => source.close());
    },
    async image() {
      return new Promise((resolve, reject) => {
        const image = Object.assign(new Image(), { src: `${other}/pixel.svg` });
        image.onload = () => resolve('loaded');
        image.onerror = () => reject(new Error('no image'));
      });
    },
  };
  const names = Object.keys(tried);
  const outcomes = await Promise.all(names.map((name) => tried[name]().catch((error) => error.message)));
  return Object.fromEntries(names.map((name, at) => [name, outcomes[at]]));
}
