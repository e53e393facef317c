// Streamlit: the whole page lives in a WebSocket, and files are sent beside it.

import { activated, installed } from '../lib/python.mjs';

const STREAM = /\/_stcore\/stream/;

export default {
  slug: 'streamlit',
  name: 'Streamlit',
  port: 8501,
  binds: 'all',
  version: () => installed('streamlit', 'streamlit'),
  command: () => ({ argv: ['streamlit', 'run', 'app.py'], env: activated('streamlit') }),
  // Its page asks its makers where to send usage statistics; no test machine reaches them.
  noise: [/metrics config/, /\/metrics\.json\)$/],

  async open({ page, visit, socket }) {
    await visit();
    await page.getByRole('heading', { name: 'Hello from Streamlit' }).waitFor();
    await socket(STREAM);
  },

  async check(kit) {
    const { page, edit } = kit;
    await this.open(kit);
    await page.getByLabel('Name').fill('Ada');
    await page.getByRole('button', { name: 'Greet' }).click();
    await page.getByText('Good day, Ada').waitFor();

    await page.locator('input[type="file"]')
      .setInputFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.alloc(100_000, 'x') });
    await page.getByText('notes.txt has 100000 bytes').waitFor();

    edit('app.py', 'Hello from Streamlit', 'Hello again');
    await page.getByRole('button', { name: 'Rerun', exact: true }).click();
    await page.getByRole('heading', { name: 'Hello again' }).waitFor();
    return ['widgets over its WebSocket', 'an upload', 'offers to run again after an edit'];
  },
};
