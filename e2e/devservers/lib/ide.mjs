// code-server on the other host, as a workspace has it: on all its addresses, and without a login of
// its own unless a check wants one. Knows how it is started, and nothing of what it shows or carries.

import { freshProject } from './project.mjs';
import { startServer } from './process.mjs';

/** Where it listens, in every workspace. */
export const IDE_PORT = 8080;

/**
 * Starts it; `template` is the address of a port with `{{port}}` in it, as `portway url` says it,
 * `auth` its own login, `args` what else it is told.
 */
export async function startIde({ template, auth = 'none', args = [] } = {}) {
  const project = freshProject('code-server');
  const server = {
    slug: 'code-server',
    port: IDE_PORT,
    command: () => ({
      argv: [
        'node', 'node_modules/code-server/out/node/entry.js',
        '--bind-addr', `0.0.0.0:${IDE_PORT}`, '--auth', auth, ...args,
        // Two that would ask machines elsewhere, and one that would ask the person.
        '--disable-telemetry', '--disable-update-check', '--disable-workspace-trust',
      ],
      env: template ? { VSCODE_PROXY_URI: template } : {},
    }),
  };
  const running = await startServer({ server, project, where: 'there' });
  return { slug: server.slug, ...running };
}
