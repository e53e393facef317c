// What most scenarios begin with: a gateway, a browser, people and their workspaces, over plain
// HTTP under portway.localhost or over TLS under hub.test. Knows how a person logs in.

import { makeAuthority } from './ca.mjs';
import { LAPTOP, startBrowser } from './browser.mjs';
import { startGateway } from './gateway.mjs';
import { startDevServer } from './upstreams.mjs';
import { eventually } from './wait.mjs';

/** Both ways a gateway is reached; scenarios that matter on both run on both. */
export const WAYS = [
  { way: 'plain portway.localhost', slug: 'plain', tls: false },
  { way: 'TLS with a test CA', slug: 'tls', tls: true },
];

/**
 * Sets the stage; `close()` takes it down and fails when the gateway did not stop cleanly.
 * `tlsPort`, `demo`, `extra` and `allow` are the gateway's, `args` are switches of Chromium's.
 */
export async function openWorld({ tls = false, tlsPort, demo, name, allow, extra, args } = {}) {
  const closing = [];
  const close = async () => {
    const failures = [];
    for (const step of closing.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length) throw failures[0];
  };

  try {
    let authority;
    if (tls) {
      authority = makeAuthority();
      closing.push(authority.remove);
    }
    const gateway = await startGateway({ authority, tlsPort, demo, name, allow, extra });
    closing.push(() => gateway.stop());
    const browser = await startBrowser({ caFile: authority?.caFile, args });
    closing.push(() => browser.close());

    return {
      gateway,
      browser,
      /** The certificate files of a world with TLS. */
      authority,
      close,
      /** A dev server that ends with the world. */
      async devServer(options) {
        const server = await startDevServer(options);
        closing.push(() => server.stop());
        return server;
      },
      /** A workspace owned by `owner`: this machine, unless it has another address. */
      async workspace(id, owner, address = '127.0.0.1') {
        await gateway.cli('workspace', 'add', id, '--address', address, '--owner', owner);
      },
      /** A new user, with a password if one is given, logged in by a one-time link in a fresh profile. */
      async person(user, options = LAPTOP, password = undefined) {
        let link = await gateway.addUser(user);
        if (password) {
          await gateway.setPassword(user, password);
          link = await gateway.newLink(user);
        }
        const profile = await browser.profile(options);
        await logIn(profile, user, link);
        return profile;
      },
    };
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
}

/** Opens an address that a change is about to open: the gateway notices one within a second. */
export function visit(page, url) {
  return eventually(`${url} to open`, async () => {
    const answer = await page.goto(url);
    return answer.status() !== 404 && answer;
  });
}

/** Opens a one-time link and presses its button; gives the page that follows. */
export async function logIn(profile, user, link) {
  const page = await profile.newPage();
  await page.goto(link);
  await page.getByRole('button', { name: new RegExp(`log in as ${user}`, 'i') }).click();
  await page.getByRole('heading', { name: /your workspaces/i }).waitFor();
  await page.close();
}

/** Opens an address as a stranger and logs in where that leads; gives the page, at the address. */
export async function logInAt(profile, url, user, password) {
  const page = await profile.newPage();
  await visit(page, url);
  await page.getByLabel(/user name/i).fill(user);
  await page.getByLabel(/password/i).fill(password);
  await page.getByRole('button', { name: /log in/i }).click();
  await page.waitForURL(url);
  return page;
}

/** Logs a profile out on the control host, as a person does. */
export async function logOut(profile, gateway) {
  const page = await profile.newPage();
  await page.goto(gateway.control);
  await page.getByRole('button', { name: /log out/i }).click();
  await page.getByRole('button', { name: /log in/i }).waitFor();
  await page.close();
}
