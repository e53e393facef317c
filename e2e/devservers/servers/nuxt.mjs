// Nuxt: Vite inside, with pages made on the server first, and its developer tools as they are.

import { editsKeepState } from '../lib/hot.mjs';

export default {
  slug: 'nuxt',
  name: 'Nuxt',
  port: 3000,
  binds: 'all',
  version: (project) => project.installed('nuxt'),
  command: () => ({ argv: ['node_modules/.bin/nuxt', 'dev'], env: { NUXT_TELEMETRY_DISABLED: '1' } }),

  async open({ page, visit, socket }) {
    await visit();
    await page.getByRole('heading', { name: 'Welcome to Nuxt' }).waitFor();
    await socket(/[?&]token=/);
  },

  async check(kit) {
    await this.open(kit);
    await editsKeepState(kit, 'app/app.vue', 'Welcome to Nuxt', 'Edited by hand');
    return ['page', 'an edit shows without a reload, state kept'];
  },
};
