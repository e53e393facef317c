// code-server on the other host, as a workspace has it: on all its addresses, without a login of
// its own. Knows how it is started, and nothing of what it shows or carries.

import { freshProject } from './project.mjs';
import { startServer } from './process.mjs';

/** Where it listens, in every workspace. */
export const IDE_PORT = 8080;

/** Starts it; `template` is the address of a port with `{{port}}` in it, as `portway url` says it. */
export async function startIde({ template } = {}) {
  const project = freshProject('code-server');
  const server = {
    slug: 'code-server',
    port: IDE_PORT,
    command: () => ({
      argv: [
        'node', 'node_modules/code-server/out/node/entry.js',
        '--bind-addr', `0.0.0.0:${IDE_PORT}`, '--auth', 'none',
        // Both would ask machines elsewhere.
        '--disable-telemetry', '--disable-update-check',
      ],
      env: template ? { VSCODE_PROXY_URI: template } : {},
    }),
  };
  const running = await startServer({ server, project, where: 'there' });
  return { ...running, version: project.installed('code-server') };
}
