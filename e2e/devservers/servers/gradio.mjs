// Gradio: events are queued by a POST, and what a function gives comes back as a stream of events.

import { activated, installed } from '../lib/python.mjs';

export default {
  slug: 'gradio',
  name: 'Gradio',
  port: 7860,
  binds: 'loopback',
  flag: 'GRADIO_SERVER_NAME=0.0.0.0',
  version: () => installed('gradio', 'gradio'),
  command: ({ flagged }) => ({
    argv: ['python', 'app.py'],
    env: { ...activated('gradio'), ...(flagged && { GRADIO_SERVER_NAME: '0.0.0.0' }) },
  }),

  async open({ page, visit }) {
    await visit();
    await page.getByRole('heading', { name: 'Hello from Gradio' }).waitFor();
  },

  async check(kit) {
    const { page } = kit;
    await this.open(kit);
    await page.getByLabel('Name').fill('Ada');
    await page.getByRole('button', { name: 'Submit' }).click();
    await kit.eventually('the last part of the answer', async () =>
      await page.getByLabel('Greeting').inputValue() === 'Good day, Ada, and good night');
    return ['a function called by the page, its answer in parts'];
  },
};
