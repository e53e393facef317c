// SvelteKit: Vite inside, with pages made on the server first.

import { editsShow } from '../lib/hot.mjs';

export default {
  slug: 'sveltekit',
  name: 'SvelteKit',
  port: 5173,
  binds: 'loopback',
  flag: 'vite dev --host',
  version: (project) => project.installed('@sveltejs/kit'),
  command: ({ flagged }) => ({ argv: ['node_modules/.bin/vite', 'dev', ...(flagged ? ['--host'] : [])] }),

  async open({ page, visit, socket }) {
    await visit();
    await page.getByRole('heading', { name: 'Welcome to SvelteKit' }).waitFor();
    await socket(/[?&]token=/);
  },

  async check(kit) {
    await this.open(kit);
    // Svelte makes a component anew when it changes, so the counter begins again.
    await editsShow(kit, 'src/routes/+page.svelte', 'Welcome to SvelteKit', 'Edited by hand');
    return ['page', 'an edit shows without a reload'];
  },
};
