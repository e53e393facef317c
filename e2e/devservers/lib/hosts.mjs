// A gateway on one host, and alice with a workspace on each: what every file here begins with.
// Knows nothing of dev servers.

import assert from 'node:assert/strict';
import { LOOPBACK } from '../../lib/gateway.mjs';
import { openWorld } from '../../lib/world.mjs';

/** The address of the other host. */
export const THERE = process.env.PORTWAY_THERE_ADDRESS;
assert.ok(THERE, 'dev servers want their own ports, so they run inside e2e/devservers/run only');

/** Opens them; `extra` is added to the gateway's configuration. */
export async function openHosts({ name, extra }) {
  const world = await openWorld({
    tls: true,
    // As in production: clients then find no port in the page's address. No other process is here.
    tlsPort: 443,
    name,
    extra,
    allow: [...LOOPBACK, `${THERE}/32`],
  });
  try {
    const alice = await world.person('alice');
    await world.workspace('here', 'alice');
    await world.workspace('there', 'alice', THERE);
    return { gateway: world.gateway, alice, close: () => world.close() };
  } catch (error) {
    // The next file wants the same port.
    await world.close().catch(() => {});
    throw error;
  }
}
