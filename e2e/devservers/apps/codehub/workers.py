"""What changes workspaces when nobody asks: the reconciler, and the TTL manager that stops what is idle.

Neither knows of HTTP. The reconciler alone writes `phase` and `operation`.
"""

import asyncio
import os

import psycopg
import redis.asyncio as redis

from database import connect, sql

STARTS = int(os.environ.get("STARTS_MS", "700")) / 1000
TTL_EVERY = int(os.environ.get("TTL_EVERY_MS", "60000")) / 1000
STANDBY_AFTER = int(os.environ.get("STANDBY_AFTER_MS", "600000")) / 1000
ARCHIVE_AFTER = int(os.environ.get("ARCHIVE_AFTER_MS", "1800000")) / 1000
ACTIVITY = "codehub:activity"

# In which phase which wish begins what. ARCHIVED to RUNNING is two steps: restored, and then started.
BEGINS = [
    ("PENDING", ["STANDBY", "RUNNING", "ARCHIVED"], "PROVISIONING"),
    ("ARCHIVED", ["STANDBY", "RUNNING"], "RESTORING"),
    ("STANDBY", ["RUNNING"], "STARTING"),
    ("STANDBY", ["ARCHIVED"], "ARCHIVING"),
    ("RUNNING", ["STANDBY", "ARCHIVED"], "STOPPING"),
]
# In which phase each operation ends.
ENDS = {"PROVISIONING": "STANDBY", "RESTORING": "STANDBY", "STARTING": "RUNNING", "STOPPING": "STANDBY",
        "ARCHIVING": "ARCHIVED"}

# Takes a member out only if nobody has reported a later use since it was read.
TAKE = """if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1])) == tonumber(ARGV[2]) then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0"""


async def step(connection):
    """One step of each workspace towards its desired state."""
    for phase, wishes, operation in BEGINS:
        await connection.execute(
            "UPDATE workspaces SET operation = %s, updated_at = now()"
            " WHERE phase = %s AND operation = 'NONE' AND desired_state = ANY(%s)", (operation, phase, wishes))
    for operation, phase in ENDS.items():
        await connection.execute(
            "UPDATE workspaces SET phase = %s, operation = 'NONE', phase_changed_at = now(), updated_at = now()"
            " WHERE operation = %s AND updated_at < now() - make_interval(secs => %s)", (phase, operation, STARTS))
    # A deletion waits for nothing that goes on, and its row stays.
    await connection.execute(
        "UPDATE workspaces SET phase = 'DELETING', operation = 'DELETING', phase_changed_at = now(), updated_at = now()"
        " WHERE desired_state = 'DELETED' AND phase NOT IN ('DELETING', 'DELETED')")
    await connection.execute(
        "UPDATE workspaces SET phase = 'DELETED', operation = 'NONE', phase_changed_at = now(), updated_at = now(),"
        " deleted_at = now() WHERE operation = 'DELETING' AND updated_at < now() - make_interval(secs => %s)", (STARTS,))


async def reconcile():
    """Moves each workspace one step towards its desired state, again and again."""
    while True:
        try:
            async with await connect() as connection:
                await step(connection)
        except psycopg.Error:
            pass  # The database is away; it is asked again.
        await asyncio.sleep(0.05)


async def take_activity(server, take):
    """Moves what was reported from Redis to the database; a use is removed only once it is written."""
    for workspace, at in await server.zrange(ACTIVITY, 0, -1, withscores=True):
        await sql("UPDATE workspaces SET last_access_at = GREATEST(last_access_at, to_timestamp(%s)) WHERE id = %s",
                  at, workspace)
        await take(keys=[ACTIVITY], args=[workspace, repr(at)])


async def stop_idle():
    """Asks for a standby of what runs unused, and for the archive of what has stood by for long.

    What was never used counts from when it came up.
    """
    await sql("UPDATE workspaces SET desired_state = 'STANDBY', updated_at = now() WHERE phase = 'RUNNING'"
              " AND operation = 'NONE' AND desired_state = 'RUNNING'"
              " AND COALESCE(last_access_at, phase_changed_at) < now() - make_interval(secs => %s)", STANDBY_AFTER)
    await sql("UPDATE workspaces SET desired_state = 'ARCHIVED', updated_at = now() WHERE phase = 'STANDBY'"
              " AND operation = 'NONE' AND desired_state = 'STANDBY'"
              " AND phase_changed_at < now() - make_interval(secs => %s)", ARCHIVE_AFTER)


async def manage_ttl(redis_url):
    """Reads which workspaces are used and stops the others, once in TTL_EVERY."""
    server = redis.from_url(redis_url, decode_responses=True)
    take = server.register_script(TAKE)
    while True:
        await asyncio.sleep(TTL_EVERY)
        try:
            await take_activity(server, take)
            await stop_idle()
        except (psycopg.Error, redis.RedisError):
            pass  # While uses cannot be read, nothing is known to be idle.
