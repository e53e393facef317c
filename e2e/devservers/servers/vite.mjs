// Vite with its React template. The hot update must keep the window and the component's state.

import { editsKeepState } from '../lib/hot.mjs';

export default {
  slug: 'vite',
  name: 'Vite (React)',
  port: 5173,
  binds: 'loopback',
  flag: 'vite --host',
  version: (project) => project.installed('vite'),
  command: ({ flagged }) => ({ argv: ['node_modules/.bin/vite', ...(flagged ? ['--host'] : [])] }),

  async open({ page, visit, socket }) {
    await visit();
    await page.getByRole('heading', { name: 'Get started' }).waitFor();
    await socket(/[?&]token=/);
  },

  async check(kit) {
    await this.open(kit);
    await editsKeepState(kit, 'src/App.jsx', 'Get started', 'Edited by hand');
    return ['page', 'an edit shows without a reload, state kept'];
  },
};
