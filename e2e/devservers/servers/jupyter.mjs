// JupyterLab with its token: a notebook is opened, its kernel runs a cell over a WebSocket, and the
// notebook is saved by an API that wants a token of its own against forged requests.

import { readFileSync } from 'node:fs';
import { activated, installed } from '../lib/python.mjs';

/** The token in an address that it prints. */
const TOKEN = /\/lab\?token=([0-9a-f]+)/;

export default {
  slug: 'jupyter',
  name: 'JupyterLab',
  port: 8888,
  binds: 'loopback',
  flag: '--ip 0.0.0.0',
  version: () => installed('jupyter', 'jupyterlab'),
  command: ({ project, flagged }) => ({
    // Without these it refuses to run as root, and starts a browser on its own machine.
    argv: ['jupyter', 'lab', '--allow-root', '--no-browser', ...(flagged ? ['--ip', '0.0.0.0'] : [])],
    // It keeps the tabs that were open in its user's home.
    env: { ...activated('jupyter'), HOME: project.root },
  }),
  ready: (running) => TOKEN.test(running.output()),

  async open({ page, origin, running, visit }) {
    await visit('/lab'); // redirects to the login
    await page.getByLabel('Password or token:').fill(running.output().match(TOKEN)[1]);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await page.waitForURL(`${origin}/lab`);
    await page.getByRole('listitem', { name: /hello\.ipynb/ }).waitFor();
  },

  async check(kit) {
    const { page, project, socket, eventually } = kit;
    await this.open(kit);
    await page.getByRole('listitem', { name: /hello\.ipynb/ }).dblclick();
    await page.locator('.jp-Notebook .cm-content').click();
    await socket(/\/api\/kernels\/[^/]+\/channels/);
    await page.keyboard.press('Shift+Enter');
    await page.locator('.jp-Notebook .jp-OutputArea-output').getByText('42 is the answer').waitFor();

    await page.keyboard.press('Control+s');
    await eventually('the notebook to be saved with its output', () =>
      readFileSync(project.file('hello.ipynb'), 'utf8').includes('42 is the answer'));
    return ['a login with its token', 'a cell run by its kernel', 'the notebook is saved'];
  },
};
