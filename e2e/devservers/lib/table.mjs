// The table of docs/devservers.md, made of what a run has seen. Knows Markdown, and no server.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const DOCUMENT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'docs', 'devservers.md');
const BEGIN = '<!-- Made by e2e/devservers/run with PORTWAY_WRITE_DOCS=1; edit above. -->\n';

/** A table of rows { name, version, port, binds, seen, elsewhere, carried, seconds }. */
export function table(rows) {
  const columns = ['server', 'version', 'port', 'listens on', 'seen in the browser, on the gateway\'s host',
    'on another host', 'there with the IDE\'s help', 'seconds'];
  const lines = rows.map((row) => [
    row.name, row.version, row.port, row.binds === 'all' ? 'all addresses' : 'loopback',
    row.seen.join('; '), row.elsewhere, row.carried, row.seconds,
  ]);
  return [columns, columns.map(() => '---'), ...lines].map((line) => `| ${line.join(' | ')} |\n`).join('');
}

/** Puts the table of `rows` in the place of the document's last one. */
export function writeTable(rows) {
  const [prose] = readFileSync(DOCUMENT, 'utf8').split(BEGIN);
  writeFileSync(DOCUMENT, `${prose}${BEGIN}\n${table(rows)}`);
}
