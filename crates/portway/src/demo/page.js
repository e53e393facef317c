// What the page tries, a card each: a state (waiting, working, failed), in words, and what came of it.
// It knows the two port numbers that its server wrote into the page, and its own address.

const byId = (id) => document.getElementById(id);
const ports = { page: document.documentElement.dataset.page, api: document.documentElement.dataset.api };
const WORDS = { waiting: 'Waiting', working: 'Working', failed: 'Failed' };

for (const one of document.querySelectorAll('.page-port')) one.textContent = ports.page;
for (const one of document.querySelectorAll('.api-port')) one.textContent = ports.api;

function show(card, state, text) {
  const section = byId(card);
  section.dataset.state = state;
  section.querySelector('.state').textContent = WORDS[state];
  section.querySelector('.result').textContent = text;
  const count = (wanted) => document.querySelectorAll(`.card[data-state="${wanted}"]`).length;
  const all = document.querySelectorAll('.card').length;
  const failed = count('failed');
  const summary = `${count('working')} of ${all} working${failed ? `, ${failed} failed` : ''}`;
  if (byId('summary').textContent !== summary) byId('summary').textContent = summary;
}

const milliseconds = (since) => `${Math.max(1, Math.round(performance.now() - since))} ms`;

// A request.

async function ask() {
  const since = performance.now();
  byId('fetch-asked').textContent = location.host;
  try {
    const response = await fetch('hello');
    if (!response.ok) return show('fetch', 'failed', `The answer was ${response.status}.`);
    const { host, cookies } = await response.json();
    byId('fetch-host').textContent = host;
    byId('fetch-cookies').textContent = cookies === 0 ? 'none' : String(cookies);
    show('fetch', 'working', `Answered in ${milliseconds(since)}.`);
  } catch {
    show('fetch', 'failed', 'There was no answer.');
  }
}

// Server-sent events.

function listen() {
  let received = 0;
  let last;
  const source = new EventSource('events');
  source.onmessage = () => {
    const now = performance.now();
    const gap = last === undefined ? 'The first one came.' : `${((now - last) / 1000).toFixed(2)} s after the one before.`;
    last = now;
    byId('events-count').textContent = String(++received);
    const beat = byId('events-beat');
    beat.append(document.createElement('i'));
    while (beat.children.length > 16) beat.firstChild.remove();
    show('events', 'working', gap);
  };
  source.onerror = () => {
    const over = source.readyState === EventSource.CLOSED;
    show('events', over ? 'failed' : 'waiting', over ? 'The stream ended. Reload this page.' : 'The stream ended; connecting again…');
    last = undefined;
  };
}

// A WebSocket.

let socket;
const sent = [];

function open() {
  const url = new URL('echo', location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  url.hash = '';
  socket = new WebSocket(url);
  socket.onopen = () => say('Hello from this page');
  socket.onmessage = ({ data }) => {
    const { text, since } = sent.shift() ?? {};
    note('in', `← ${data}`);
    if (data === text) show('socket', 'working', `It came back in ${milliseconds(since)}.`);
    else show('socket', 'failed', 'Something else came back.');
  };
  socket.onclose = () => {
    sent.length = 0;
    show('socket', 'failed', 'The connection is closed. Send something to open it again.');
  };
}

function say(text) {
  sent.push({ text, since: performance.now() });
  note('out', `→ ${text}`);
  socket.send(text);
}

function note(kind, text) {
  const line = document.createElement('li');
  line.className = kind;
  line.textContent = text;
  const log = byId('socket-log');
  log.append(line);
  while (log.children.length > 50) log.firstChild.remove();
  log.scrollTop = log.scrollHeight;
}

byId('socket-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const field = byId('socket-text');
  if (socket.readyState === WebSocket.OPEN) {
    say(field.value);
    field.value = '';
  } else if (socket.readyState === WebSocket.CLOSED) {
    show('socket', 'waiting', 'Opening…');
    open();
  }
});

// An upload. XMLHttpRequest, because fetch does not say how much has been sent.

const SAMPLE = 5_000_000;
/** What is hashed here as well, to compare; more would have to fit in memory. */
const HASHED = 64_000_000;
const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

async function upload(blob) {
  for (const one of ['upload-sample', 'upload-file']) byId(one).disabled = true;
  show('upload', 'waiting', 'Sending…');
  try {
    const expected = blob.size <= HASHED ? await sha256(blob) : undefined;
    const since = performance.now();
    const { bytes, sha256: found } = await send(blob, (done) => {
      byId('upload-bar').value = blob.size ? done / blob.size : 1;
      show('upload', 'waiting', `${size(done)} of ${size(blob.size)}, ${rate(done, since)}`);
    });
    if (bytes !== blob.size || (expected && found !== expected)) {
      return show('upload', 'failed', `Something else arrived: ${bytes} bytes, SHA-256 ${found}.`);
    }
    byId('upload-bar').value = 1;
    const proof = expected ? 'SHA-256 is the same at both ends:' : 'SHA-256 of what arrived:';
    show('upload', 'working', `${bytes.toLocaleString('en')} bytes arrived at ${rate(bytes, since)}. ${proof} ${found.slice(0, 16)}…`);
  } catch (error) {
    show('upload', 'failed', error.message);
  } finally {
    for (const one of ['upload-sample', 'upload-file']) byId(one).disabled = false;
  }
}

const rate = (bytes, since) => `${size((1000 * bytes) / Math.max(1, performance.now() - since))}/s`;

/** In hexadecimal; nothing where the page came from an address that the browser does not trust. */
async function sha256(blob) {
  if (!crypto.subtle) return undefined;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function send(blob, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', 'upload');
    request.responseType = 'json';
    request.upload.onprogress = ({ loaded }) => progress(loaded);
    request.onerror = () => reject(new Error('The upload was cut off.'));
    request.onload = () => {
      if (request.status === 200 && request.response) resolve(request.response);
      else reject(new Error(`The answer was ${request.status}.`));
    };
    request.send(blob);
  });
}

byId('upload-sample').addEventListener('click', () => {
  const bytes = new Uint8Array(SAMPLE);
  const block = 65_536; // what getRandomValues gives at most
  for (let at = 0; at < SAMPLE; at += block) crypto.getRandomValues(bytes.subarray(at, at + block));
  upload(new Blob([bytes]));
});
byId('upload-file').addEventListener('change', ({ target }) => {
  if (target.files.length) upload(target.files[0]);
  target.value = ''; // the same file may be chosen again
});

// Another port of the same workspace.

/** Where the API is for this browser: this page's own address with the other port number in it. */
function sibling() {
  const url = new URL('/', location.href);
  if (url.port === ports.page) {
    url.port = ports.api; // opened without a gateway
    return url.origin;
  }
  const own = new RegExp(`(^|[^0-9])${ports.page}(?![0-9])`);
  const found = own.test(url.hostname);
  // A name without a port number is that of the workspace, whose default port this is.
  url.hostname = found ? url.hostname.replace(own, `$1${ports.api}`) : `${ports.api}-${url.hostname}`;
  return url.origin;
}

async function put() {
  const address = `${sibling()}/notes/page`;
  const since = performance.now();
  byId('sibling-address').textContent = `PUT ${address}`;
  byId('sibling-reload').hidden = true;
  try {
    const response = await fetch(address, {
      method: 'PUT',
      credentials: 'include',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ text: `written at ${new Date().toLocaleTimeString('en-GB')}` }),
    });
    if (response.status === 401) return again(`Port ${ports.api} does not know you yet: reload this page once.`);
    if (!response.ok) return show('sibling', 'failed', `The answer was ${response.status}.`);
    const { text, count } = await response.json();
    show('sibling', 'working', `Kept “${text}” in ${milliseconds(since)}. Notes put so far: ${count}.`);
  } catch {
    // The browser does not tell a page which of its rules an answer broke.
    again(`Port ${ports.api} gave no answer that this page may read: reload this page once.`);
  }
}

function again(text) {
  byId('sibling-reload').hidden = false;
  show('sibling', 'failed', text);
}

byId('fetch-again').addEventListener('click', ask);
byId('sibling-again').addEventListener('click', put);
byId('sibling-reload').addEventListener('click', () => location.reload());

ask();
listen();
open();
put();
