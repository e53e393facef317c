// webpack-dev-server. Its client dials the port that the server listens on, whatever the page's
// address says, so it alone must be told to use the page's own.

import { editsKeepState } from '../lib/hot.mjs';

const OPTION = ['--client-web-socket-url', 'auto://0.0.0.0:0/ws'];

export default {
  slug: 'webpack-dev-server',
  name: 'webpack-dev-server',
  port: 8080,
  binds: 'all',
  version: (project) => project.installed('webpack-dev-server'),
  command: () => ({ argv: ['node_modules/.bin/webpack', 'serve', ...OPTION] }),

  async open({ page, visit, socket }) {
    await visit();
    await page.getByRole('heading', { name: 'Hello webpack' }).waitFor();
    await socket(/\/ws$/);
  },

  async check(kit) {
    await this.open(kit);
    await editsKeepState(kit, 'src/print.js', 'Hello webpack', 'Edited by hand');
    return ['page', 'an edit shows without a reload, state kept', `both with \`${OPTION.join(' ')}\``];
  },
};
