// The virtual environments that install-python has made. Knows their layout, and no server.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { CACHE } from './project.mjs';

const bin = (app) => join(CACHE, 'venvs', app, 'bin');

/** The environment of a shell in which somebody has activated `app`'s virtual environment. */
export const activated = (app) => ({ PATH: `${bin(app)}:/usr/local/bin:/usr/bin:/bin` });

/** The version that is installed of a package in `app`'s virtual environment. */
export function installed(app, name) {
  const ask = 'import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))';
  return execFileSync(join(bin(app), 'python'), ['-c', ask, name], { encoding: 'utf8' }).trim();
}
