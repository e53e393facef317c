// The README's first command in a browser: what it prints is followed, and every card of the sample works.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { LAPTOP, PHONE, shot } from '../lib/browser.mjs';
import { eventually } from '../lib/wait.mjs';
import { logIn, openWorld } from '../lib/world.mjs';

/** What each card says when all is well. */
const CARDS = ['Request', 'Server-sent events', 'WebSocket', 'Upload', 'Another port of the same workspace'];

describe('the sample of --demo', () => {
  let world, user, link, sample;
  before(async () => {
    world = await openWorld({ demo: true, name: 'demo' });
    const said = await eventually('the greeting', () =>
      world.gateway.said().includes('Stop: Ctrl-C') && world.gateway.said());
    user = said.match(/Log in as (\S+), once/)[1];
    [link, sample] = [...said.matchAll(/^ +(http:\S+)$/gm)].map(([, address]) => address);
  });
  after(() => world?.close());

  const card = (page, name) => page.getByRole('region', { name, exact: true });
  const works = (page, name) => card(page, name).getByText('Working', { exact: true }).waitFor();

  /** The first visit of a fresh browser, until every card works. */
  async function visitSample(options, login) {
    const profile = await world.browser.profile(options);
    await logIn(profile, user, login);
    const page = await profile.newPage();
    const wrong = [];
    page.on('pageerror', (error) => wrong.push(error.message));
    await page.goto(sample);
    await page.getByRole('button', { name: 'Send 5 MB' }).click();
    for (const name of CARDS) await works(page, name);
    await page.getByText('5 of 5 working', { exact: true }).waitFor();
    assert.deepEqual(wrong, []);
    return page;
  }

  it('every card works on the first visit, on a laptop', async () => {
    const page = await visitSample(LAPTOP, link);
    assert.equal(page.url(), sample);
    await card(page, 'Upload').getByText('5,000,000 bytes arrived').waitFor();
    await card(page, 'Upload').getByText('the same at both ends').waitFor();
    const asked = await card(page, 'Request').getByRole('definition').allTextContents();
    const port = world.gateway.log.find((line) => line.event === 'demo').page;
    assert.deepEqual(asked, [new URL(sample).host, `localhost:${port}`, 'none']);
    await shot(page, 'demo-laptop');

    await page.getByLabel('A message').fill('grüezi');
    await card(page, 'WebSocket').getByRole('button', { name: 'Send' }).click();
    await card(page, 'WebSocket').getByText('← grüezi').waitFor();

    const buffer = Buffer.from('a file of mine');
    await page.getByLabel('Choose a file').setInputFiles({ name: 'mine.txt', mimeType: 'text/plain', buffer });
    await card(page, 'Upload').getByText(createHash('sha256').update(buffer).digest('hex').slice(0, 16)).waitFor();

    const count = page.locator('#events-count');
    const before = Number(await count.textContent());
    await eventually('events to go on', async () => Number(await count.textContent()) > before + 1);
  });

  it('and on a phone, without being wider than its screen', async () => {
    const page = await visitSample(PHONE, await world.gateway.newLink(user));
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${wide} pixels too wide`);
    await shot(page, 'demo-phone');
  });

  it('the home page lists both ports', async () => {
    const page = await (await world.browser.profile()).newPage();
    await page.goto(await world.gateway.newLink(user));
    await page.getByRole('button', { name: /log in as/i }).click();
    const { page: first, api } = world.gateway.log.find((line) => line.event === 'demo');
    const demo = page.getByRole('region', { name: 'demo', exact: true });
    for (const port of [first, api]) await demo.getByText(`Manage port ${port}`).waitFor({ state: 'attached' });
  });
});
