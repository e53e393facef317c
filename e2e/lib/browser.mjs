// Debian's Chromium through playwright-core: real name resolution, real certificate checks.
// Knows pages and screenshots; knows nothing of what they should say.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { TLS_DOMAIN, TLS_EMBEDDER } from './ca.mjs';
import { patience } from './wait.mjs';

/** Where screenshots and gateway logs are kept; not in version control. */
export const ARTEFACTS = join(dirname(fileURLToPath(import.meta.url)), '..', 'artefacts');

/** A phone in dark mode, for `newContext`. */
export const PHONE = {
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
  colorScheme: 'dark',
};

/** A laptop in light mode, for `newContext`. */
export const LAPTOP = { viewport: { width: 1280, height: 800 }, colorScheme: 'light' };

/**
 * Starts Chromium with an empty home of its own. With `caFile`, that authority is trusted through
 * the NSS database, so that certificates are verified for real. `*.localhost` resolves by itself.
 * `args` are more switches of Chromium's.
 */
export async function startBrowser({ caFile, args = [] } = {}) {
  const home = mkdtempSync(join(tmpdir(), 'portway-home-'));
  if (caFile) {
    const nss = join(home, '.pki', 'nssdb');
    mkdirSync(nss, { recursive: true });
    const certutil = (...words) => execFileSync('certutil', ['-d', `sql:${nss}`, ...words]);
    certutil('-N', '--empty-password');
    certutil('-A', '-t', 'C,,', '-n', 'portway-test', '-i', caFile);
  }
  const here = [`*.${TLS_DOMAIN}`, TLS_DOMAIN, TLS_EMBEDDER].map((name) => `MAP ${name} 127.0.0.1`);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    env: { ...process.env, HOME: home },
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--host-resolver-rules=${here.join(', ')}`,
      ...args,
    ],
  });
  return {
    /** A fresh profile: cookies of its own. */
    async profile(options = LAPTOP) {
      const context = await browser.newContext(options);
      context.setDefaultTimeout(patience);
      return context;
    },
    version: () => browser.version(),
    async close() {
      await browser.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Keeps a screenshot of the whole page as `artefacts/NAME.png`. */
export async function shot(page, name) {
  mkdirSync(ARTEFACTS, { recursive: true });
  // Hiding the caret writes a style into every input; React calls that a page other than the server's.
  await page.screenshot({ path: join(ARTEFACTS, `${name}.png`), fullPage: true, caret: 'initial' });
}
