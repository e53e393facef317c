// Everything that a page can try against another origin with its visitor's cookies.
// It knows the origin to attack and nothing of what should stop it.

import { patience } from './wait.mjs';

/** The paths that a server without protection hears of, in the order they are tried. */
export const PATHS = [
  '/attack/beacon', '/attack/fetch-cors', '/attack/fetch-no-cors', '/attack/fetch-post',
  '/attack/fetch-put', '/attack/fetch-bare', '/pixel.svg', '/attack/script', '/attack/frame',
  '/attack/sandboxed', '/attack/form-get', '/attack/form-post', '/echo', '/events',
];

/** Makes every attempt from `page`, waits for the end of each, and says what came of it. */
export async function attack(page, victim) {
  const beacon = page.waitForResponse(`${victim}/attack/beacon`, { timeout: patience });
  const outcomes = await page.evaluate(attempts, victim);
  return { ...outcomes, beacon: (await beacon).status() };
}

// Runs in the page.
async function attempts(victim) {
  const settled = (promise) => promise.then((value) => `ok ${value}`, () => 'refused');
  const element = (name, attributes) => new Promise((resolve) => {
    const one = Object.assign(document.createElement(name), attributes);
    one.onload = () => resolve('loaded');
    one.onerror = () => resolve('refused');
    document.body.append(one);
  });
  const form = (method) => new Promise((resolve) => {
    const frame = Object.assign(document.createElement('iframe'), { name: `frame-${method}` });
    document.body.append(frame);
    const one = Object.assign(document.createElement('form'),
      { method, action: `${victim}/attack/form-${method}`, target: frame.name });
    one.innerHTML = '<input name="word" value="evil">';
    document.body.append(one);
    frame.onload = () => resolve('answered');
    one.submit();
  });
  const socket = (path) => new Promise((resolve) => {
    const one = new WebSocket(`${victim.replace('http', 'ws')}${path}`);
    one.onopen = () => resolve('open');
    one.onerror = () => resolve('refused');
  });
  const events = (path) => new Promise((resolve) => {
    const one = new EventSource(`${victim}${path}`, { withCredentials: true });
    one.onopen = () => { one.close(); resolve('open'); };
    one.onerror = () => { one.close(); resolve('refused'); };
  });
  const get = (path, options) => settled(
    fetch(`${victim}${path}`, { credentials: 'include', ...options }).then((r) => r.type));

  navigator.sendBeacon(`${victim}/attack/beacon`, 'evil');
  return {
    fetchCors: await get('/attack/fetch-cors'),
    fetchNoCors: await get('/attack/fetch-no-cors', { mode: 'no-cors' }),
    fetchPost: await get('/attack/fetch-post', { mode: 'no-cors', method: 'POST', body: 'evil' }),
    fetchPut: await get('/attack/fetch-put', { method: 'PUT', body: '{}', headers: { 'Content-Type': 'application/json' } }),
    fetchNoReferrer: await get('/attack/fetch-bare', { mode: 'no-cors', referrerPolicy: 'no-referrer' }),
    image: await element('img', { src: `${victim}/pixel.svg?attack` }),
    script: await element('script', { src: `${victim}/attack/script` }),
    frame: await element('iframe', { src: `${victim}/attack/frame` }),
    sandboxed: await element('iframe', { src: `${victim}/attack/sandboxed`, sandbox: 'allow-scripts' }),
    formGet: await form('get'),
    formPost: await form('post'),
    socket: await socket('/echo?attack'),
    events: await events('/events?attack'),
  };
}
