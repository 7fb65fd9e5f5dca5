// An operator without a mouse forces a breaker and releases it.

import assert from 'node:assert/strict';
import { fits, idle, notice, picture, play, provider, settled, until } from './stage.js';

const STEPS_MAX = 200;

await idle();
await play(async (open) => {
  const page = await open();
  await settled(page);
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '');

  /** Presses Tab until something is focused. */
  async function tabTo(label) {
    for (let step = 0; step < STEPS_MAX; step += 1) {
      await page.keyboard.press('Tab');
      if (await focused() === label) {
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        return assert.notEqual(outline, 'none', `the focus on ${label} cannot be seen`);
      }
    }
    assert.fail(`no way to ${label} by Tab`);
  }

  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');

  await tabTo('Force the breaker of bsc-b on bsc');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'Force the breaker of bsc-b' }).waitFor();
  // Without a reason nothing is forced.
  await page.keyboard.press('Enter');
  assert.equal((await provider('bsc', 'bsc-b')).forced, null);
  await until('the reason has the focus', () => page.evaluate(() => document.activeElement.name === 'reason'));
  await page.keyboard.type('planned work at the provider');
  await picture(page, 'dialog');
  await page.keyboard.press('Enter');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  const line = notice(page, 'bsc-b');
  await line.waitFor();
  assert.match(await line.innerText(), /An operator shut it: planned work at the provider/);
  const forced = await provider('bsc', 'bsc-b');
  assert.deepEqual([forced.state, forced.forced.reason], ['forced_open', 'planned work at the provider']);
  // The focus is where it was before the dialog.
  await until('the focus is back', async () => await focused() === 'Force the breaker of bsc-b on bsc');
  await page.locator('#events-body tr', { hasText: 'forced open: by an operator' }).waitFor();

  await page.keyboard.press('Shift+Tab');
  assert.equal(await focused(), 'Release bsc-b on bsc');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'Release bsc-b' }).waitFor();
  await page.keyboard.press('Escape');
  assert.equal((await provider('bsc', 'bsc-b')).state, 'forced_open');
  await until('the focus is back', async () => await focused() === 'Release bsc-b on bsc');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'Release bsc-b' }).waitFor();
  // So quick that the event of the dialog before comes after it is opened again.
  await page.evaluate(() => {
    document.querySelector('dialog').close();
    document.querySelector('[aria-label="Release bsc-b on bsc"]').click();
  });
  await page.getByRole('dialog', { name: 'Release bsc-b' }).waitFor();
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
  await tabTo('Release it');
  await page.keyboard.press('Enter');
  await line.waitFor({ state: 'detached' });
  assert.equal((await provider('bsc', 'bsc-b')).forced, null);

  // A scan by keyboard.
  await page.keyboard.press('Home');
  await page.evaluate(() => document.getElementById('main').focus());
  await tabTo('Scan sol now');
  await page.keyboard.press('Enter');
  await tabTo('Scan it');
  await page.keyboard.press('Enter');
  await until('sol was scanned twice', async () => await page.locator('#scans-body tr', { hasText: 'sol' }).count() === 2);
  await fits(page);
});
