// A certificate authority for one run, made with openssl, and a leaf for the test domains.
// Knows no browser and no gateway: it gives file paths.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The domain of every TLS scenario; `.test` never resolves outside (RFC 6761). */
export const TLS_DOMAIN = 'hub.test';

/** Another site, whose pages show ports of the gateway's inside themselves. */
export const TLS_EMBEDDER = 'builder.test';

/** Makes an authority and a leaf for `hub.test`, `*.hub.test` and `builder.test`; `remove()` deletes the files. */
export function makeAuthority() {
  const dir = mkdtempSync(join(tmpdir(), 'portway-ca-'));
  const file = (name) => join(dir, name);
  const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

  openssl('req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=Portway test authority',
    '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign',
    '-keyout', 'ca.key', '-out', 'ca.crt');
  openssl('req', ...newKey, '-subj', `/CN=${TLS_DOMAIN}`, '-keyout', 'leaf.key', '-out', 'leaf.csr');
  writeFileSync(file('leaf.ext'), [
    `subjectAltName=DNS:${TLS_DOMAIN},DNS:*.${TLS_DOMAIN},DNS:${TLS_EMBEDDER}`,
    'basicConstraints=CA:FALSE',
    'extendedKeyUsage=serverAuth',
  ].join('\n'));
  openssl('x509', '-req', '-in', 'leaf.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key',
    '-CAcreateserial', '-days', '2', '-extfile', 'leaf.ext', '-out', 'leaf.crt');

  return {
    caFile: file('ca.crt'),
    certFile: file('leaf.crt'),
    keyFile: file('leaf.key'),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
