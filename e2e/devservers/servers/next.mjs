// Next.js with its app router: a page made on the server, a client component, a Server Action.

import assert from 'node:assert/strict';
import { editsKeepState } from '../lib/hot.mjs';

export default {
  slug: 'next',
  name: 'Next.js',
  port: 3000,
  binds: 'all',
  version: (project) => project.installed('next'),
  command: () => ({ argv: ['node_modules/.bin/next', 'dev'], env: { NEXT_TELEMETRY_DISABLED: '1' } }),

  async open({ page, visit, socket }) {
    await visit();
    await page.getByRole('heading', { name: 'To get started' }).waitFor();
    await socket(/\/_next\//);
  },

  async check(kit) {
    await this.open(kit);
    await editsKeepState(kit, 'app/page.js', 'To get started, edit the page.js file.', 'Edited by hand');
    const action = kit.page.waitForResponse((response) => response.request().method() === 'POST');
    await kit.page.getByLabel('Name').fill('alice');
    await kit.page.getByRole('button', { name: 'Sign' }).click();
    await kit.page.getByText('Signed by alice, on Node v24').waitFor();
    assert.ok((await action).request().headers()['next-action'], 'it was a Server Action');
    assert.ok(await kit.marked(), 'in the same window');
    return ['page', 'an edit shows without a reload, state kept', 'a Server Action answers a form'];
  },
};
