// A server's project folder in the cache: fresh sources beside installed packages, and edits to
// them. Knows nothing of processes or pages.

import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const APPS = join(dirname(fileURLToPath(import.meta.url)), '..', 'apps');

/** Where `install` has put everything; `run` says it. */
export const CACHE = process.env.PORTWAY_TEST_CACHE;

/** What an installation has put into a project folder, and stays. */
const INSTALLED = ['node_modules', '.key'];

/** What servers keep among the packages from one run to the next. */
const KEPT_BY_SERVERS = ['node_modules/.vite', 'node_modules/.vite-temp', 'node_modules/.cache'];

/**
 * The folder `dir` of the cache, with the sources of `apps/DIR` as the repository has them and
 * nothing of an earlier run, so that each run sees what a first start looks like.
 */
export function freshProject(dir) {
  const root = join(CACHE, dir);
  mkdirSync(root, { recursive: true });
  const app = join(APPS, dir);
  if (existsSync(join(app, 'package.json')) && !existsSync(join(root, '.key'))) {
    throw new Error(`${dir} is not installed: e2e/devservers/install`);
  }
  for (const entry of readdirSync(root)) {
    if (!INSTALLED.includes(entry)) rmSync(join(root, entry), { recursive: true, force: true });
  }
  for (const entry of KEPT_BY_SERVERS) rmSync(join(root, entry), { recursive: true, force: true });
  if (existsSync(app)) cpSync(app, root, { recursive: true, filter: (file) => !file.endsWith('/node_modules') });

  return {
    root,
    file: (name) => join(root, name),
    /** Replaces the one place where `file` says `from`, as somebody who edits it. */
    edit(file, from, to) {
      const path = join(root, file);
      const parts = readFileSync(path, 'utf8').split(from);
      if (parts.length !== 2) throw new Error(`${file} says ${JSON.stringify(from)} ${parts.length - 1} times`);
      writeFileSync(path, parts.join(to));
    },
    /** The version that is installed of an npm package. */
    installed: (name) =>
      JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version,
  };
}
