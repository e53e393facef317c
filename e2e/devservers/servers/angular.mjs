// Angular's `ng serve`: Vite inside, a compiler of its own in front.

import { editsKeepState } from '../lib/hot.mjs';

export default {
  slug: 'angular',
  name: 'Angular CLI',
  port: 4200,
  binds: 'loopback',
  flag: 'ng serve --host 0.0.0.0',
  version: (project) => project.installed('@angular/cli'),
  command: ({ flagged }) => ({
    argv: ['node_modules/.bin/ng', 'serve', ...(flagged ? ['--host', '0.0.0.0'] : [])],
    env: { NG_CLI_ANALYTICS: 'false' },
  }),
  // It tries its port before it compiles, so listening alone says nothing.
  ready: (running) => running.output().includes('Local:'),

  async open({ page, visit, socket }) {
    await visit();
    await page.getByRole('heading', { name: 'Hello, angular' }).waitFor();
    await socket(/[?&]token=/);
  },

  async check(kit) {
    await this.open(kit);
    await editsKeepState(kit, 'src/app/app.html', 'Hello,', 'Edited by hand,');
    return ['page', 'an edit shows without a reload, state kept'];
  },
};
