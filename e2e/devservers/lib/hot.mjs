// What a developer expects of an edit: it shows by itself. Knows the counter that every app has,
// and no server.

import assert from 'node:assert/strict';

/** Some frameworks show what a click has done in the next frame only, or in a task of its own after it. */
const settled = (page) => page.evaluate(() => new Promise((done) => {
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));
}));

/** Counts beyond nought, so that there is state in the page to lose. */
async function count({ page, eventually }) {
  const button = page.getByRole('button', { name: /^Count is \d+$/ });
  // Before its script has run, a page made on the server has a button that does nothing.
  await eventually('the page to count', async () => {
    await button.click();
    await settled(page);
    return (await button.innerText()) !== 'Count is 0';
  });
  return button.innerText();
}

/** Edits a source file, and waits for the heading to follow; says what became of the page. */
async function edited(kit, file, from, to) {
  const { page } = kit;
  await page.getByRole('heading', { name: from }).waitFor();
  const before = await count(kit);
  await kit.mark();
  kit.edit(file, from, to);
  await page.getByRole('heading', { name: to }).waitFor();
  const after = await page.getByRole('button', { name: /^Count is \d+$/ }).innerText();
  return { sameWindow: await kit.marked(), before, after };
}

/** An edit must show in the same window. */
export async function editsShow(kit, file, from, to) {
  const { sameWindow } = await edited(kit, file, from, to);
  assert.ok(sameWindow, 'the page did not reload');
}

/** An edit must show in the same window, and the component must keep its state. */
export async function editsKeepState(kit, file, from, to) {
  const { sameWindow, before, after } = await edited(kit, file, from, to);
  assert.ok(sameWindow, 'the page did not reload');
  assert.equal(after, before, 'the component kept its state');
}
