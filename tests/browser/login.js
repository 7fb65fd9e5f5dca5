// A service with tokens, below a base path: who has none sees nothing, who may only look changes nothing.

import assert from 'node:assert/strict';
import { PHONE, SERVICE, fits, picture, play, settled } from './stage.js';

assert(SERVICE.endsWith('/scan/host/'), SERVICE);

await play(async (open) => {
  const page = await open({ viewport: PHONE, at: SERVICE.slice(0, -1) });
  assert.equal(page.url(), SERVICE);
  const token = page.getByLabel('Token');
  await token.waitFor();
  assert.equal(await page.locator('#board').isVisible(), false);
  await fits(page);
  await picture(page, 'sign-in-phone');

  await token.fill('no-such-token');
  await page.keyboard.press('Enter');
  await page.locator('#login-error', { hasText: /\S/ }).waitFor();

  await token.fill('read-token-of-this-test');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await settled(page);
  assert.equal(await page.locator('#role').innerText(), 'may look only');
  for (const name of [/^Force/, /^Scan .* now/, /^Cancel/, /^Release/]) {
    assert.equal(await page.getByRole('button', { name }).count(), 0, String(name));
  }
  await fits(page);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await token.waitFor();

  await token.fill('admin-token-of-this-test');
  await page.keyboard.press('Enter');
  await settled(page);
  await page.getByRole('button', { name: 'Force the breaker of bsc-a on bsc' }).waitFor();
  // Scripts of the page cannot read the session, and what was typed is in no store.
  assert.equal(await page.evaluate(() => document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage })), '{}');
  // The session outlives a reload.
  await page.reload();
  await settled(page);
}, { refusals: ['401 /scan/host/api/v1/session', '429 /scan/host/api/v1/session'] });
