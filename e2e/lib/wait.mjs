// Waiting, in one place: tests wait for conditions; the patience only bounds a broken test.

/** The longest any single wait may take, in milliseconds (PORTWAY_TEST_PATIENCE, in seconds). */
export const patience = 1000 * Number(process.env.PORTWAY_TEST_PATIENCE ?? 30);

/** Waits until `look` gives something truthy, and gives that. */
export async function eventually(what, look, limit = patience) {
  const deadline = Date.now() + limit;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${limit} ms in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Gives what `promise` gives, or fails with `what` when patience runs out. */
export async function within(what, promise, limit = patience) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${limit} ms in vain for: ${what}`)), limit);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
