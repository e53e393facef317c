// What a scenario beside code-hub begins with: its database and API server, the gateway with the ten lines of configuration
// that its people write, a browser, and two people with an account. Knows how they log in there.

import { randomUUID } from 'node:crypto';
import { startBrowser } from './browser.mjs';
import { startApi, startIngress } from './codehub.mjs';
import { freePort, startGateway } from './gateway.mjs';
import { startPostgres } from './postgres.mjs';
import { startRedis } from './redis.mjs';
import { startDevServer } from './upstreams.mjs';

export const ALICE = '01HALICE000000000000000000';
export const BOB = '01HBOB00000000000000000000';
const DOMAIN = 'portway.localhost';
const PASSWORD = 'correct horse';
/** Of PASSWORD, as the API server's library makes it. */
const HASH = '$argon2id$v=19$m=65536,t=3,p=4$GwiS3IYlnDenj/kQlDRKKA$0Rk9AJL1flbP5+AfaqYLmCI3AYacFN0FL9IvVpSzRkw';

/**
 * Sets the stage; `close()` takes it down and fails when something did not stop cleanly. The gateway is the front of the
 * API server, or behind nginx with `split`. With `redis` there is one, for reports of use and the TTL manager. `settings`
 * are the API server's.
 */
export async function openHub({ name, split = false, redis = false, settings = {} }) {
  const closing = [];
  const keep = (started) => { closing.push(() => started.stop()); return started; };
  const close = async () => {
    const failures = [];
    for (const step of closing.splice(0).reverse()) await step().catch((error) => failures.push(error));
    if (failures.length) throw failures[0];
  };

  try {
    const postgres = keep(await startPostgres());
    postgres.sql(`INSERT INTO users (id, username, password_hash)
      VALUES ('${ALICE}', 'alice', '${HASH}'), ('${BOB}', 'bob', '${HASH}')`);
    const store = redis ? keep(await startRedis()) : undefined;
    const api = keep(await startApi(postgres.url, store ? { REDIS_URL: store.url, ...settings } : settings));
    const front = await freePort();
    const control = `http://${DOMAIN}:${front}`;
    const gateway = keep(await startGateway({
      name,
      plainPort: split ? 0 : front,
      extra: `
preset = "code-hub"
domain = "${DOMAIN}"
public = "${control}"
control = "${control}"
control_upstream = "${api.url}"
[postgres]
url = "${postgres.url}"
${store ? `[redis]\nurl = "${store.url}"\n[activity]\nflush = "100ms"` : ''}`,
      workspaces: 'address = "localhost"',
    }));
    if (split) {
      keep(await startIngress({ port: front, domain: DOMAIN, api: api.port, gateway: gateway.address('plain') }));
    }
    const browser = await startBrowser();
    closing.push(() => browser.close());
    /** alice's, in which she logs in when a scenario does so. */
    const profile = await browser.profile();

    return {
      postgres,
      redis: store,
      gateway,
      browser,
      profile,
      /** Origin of the control host. */
      control,
      close,
      url: (port, workspace, path = '/') => `http://${port}-${workspace}.${DOMAIN}:${front}${path}`,
      /** A dev server that ends with the stage. */
      devServer: async (options) => keep(await startDevServer(options)),
      /** A row as it is after a while of use. */
      workspace(title, phase, owner = ALICE) {
        const id = randomUUID();
        postgres.sql(`INSERT INTO workspaces (id, owner_user_id, name, phase, desired_state)
          VALUES ('${id}', '${owner}', '${title}', '${phase}', '${phase}')`);
        return id;
      },
      /** Fills in the login page that is shown. */
      async signIn(page, user = 'alice', password = PASSWORD) {
        await page.getByLabel('User name').fill(user);
        await page.getByLabel('Password').fill(password);
        await page.getByRole('button', { name: 'Sign in' }).click();
      },
      /** As alice's own scripts do it, with the session of her browser. */
      async patch(id, state) {
        const { value } = (await profile.cookies()).find((cookie) => cookie.name === 'session');
        return fetch(`${api.url}/api/v1/workspaces/${id}`, {
          method: 'PATCH',
          headers: { Cookie: `session=${value}`, 'Content-Type': 'application/json' },
          body: JSON.stringify({ desired_state: state }),
        });
      },
    };
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
}
