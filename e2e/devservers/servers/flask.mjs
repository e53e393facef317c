// Flask with its debugger: a session cookie that is called `session`, a form, and an exception.

import assert from 'node:assert/strict';
import { activated, installed } from '../lib/python.mjs';

export default {
  slug: 'flask',
  name: 'Flask',
  port: 5000,
  binds: 'loopback',
  flag: '--host 0.0.0.0',
  version: () => installed('flask', 'flask'),
  command: ({ flagged }) => ({
    argv: ['flask', 'run', '--debug', ...(flagged ? ['--host', '0.0.0.0'] : [])],
    env: activated('flask'),
  }),
  ready: (running) => running.output().includes('Debugger PIN'),
  // The exception that the check causes.
  noise: [/status of 500 .*\/bug\b/],

  async open({ page, visit }) {
    await visit();
    await page.getByRole('heading', { name: 'Hello from Flask' }).waitFor();
  },

  async check(kit) {
    const { page, profile, origin, running, visit, edit, eventually } = kit;
    await this.open(kit);
    await page.getByText('visit 1 of nobody').waitFor();
    await page.reload();
    await page.getByText('visit 2 of nobody').waitFor();
    const cookies = await profile.cookies(origin);
    assert.ok(cookies.some((cookie) => cookie.name === 'session'), 'the session is a cookie of that name');

    // The answer is a redirect to an absolute URL, made from what Flask believes its host to be.
    await page.getByLabel('Name').fill('Ada');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('visit 3 of Ada').waitFor();
    assert.equal(page.url(), `${origin}/`);

    await page.goto(`${origin}/bug`);
    await page.getByRole('heading', { name: 'ZeroDivisionError' }).waitFor();
    await evaluateInFrame(page, running.output().match(/Debugger PIN: (\S+)/)[1]);
    await kit.shot('debugger');

    edit('app.py', 'Hello from Flask', 'Hello again');
    await eventually('the server to start again', () => running.output().split('Debugger PIN').length === 3);
    await visit();
    await page.getByRole('heading', { name: 'Hello again' }).waitFor();
    return ['its session cookie', 'a form and a redirect', 'the debugger and its console', 'reloads after an edit'];
  },
};

/** Unlocks the debugger with its PIN and looks at a variable of the last frame. */
async function evaluateInFrame(page, pin) {
  const line = page.locator('.frame').last().locator('.current');
  await line.hover(); // shows what can be done with it
  await line.getByTitle('Open an interactive python shell in this frame').click();
  await page.locator('input[name="pin"]').fill(pin);
  await page.getByRole('button', { name: 'Confirm Pin' }).click();
  const prompt = page.locator('.console input');
  await prompt.fill('apples * 7');
  await prompt.press('Enter');
  await page.locator('.console .output').getByText('42').waitFor();
}
