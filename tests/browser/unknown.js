// Balances that no provider told: of one chain never, of another one not now.

import assert from 'node:assert/strict';
import { DESK, PHONE, breakHost, fits, idle, picture, play, scan, settled, until } from './stage.js';

await idle();
for (const host of ['blockstream', 'mempool']) await breakHost(host);
assert.equal((await scan('btc')).status, 'gave_up');

await play(async (open) => {
  for (const [name, viewport] of [['unknown-wide', DESK], ['unknown-phone', PHONE]]) {
    const page = await open({ viewport });
    await settled(page);
    const rows = page.locator('#balances-body tbody tr');
    const choose = page.locator('#balances-filter select[name=chain]');
    const amounts = () => rows.locator('[data-label=Amount]').allInnerTexts();

    // Nothing was ever asked of bsc, so there is no row for it, and no zero.
    await choose.selectOption('bsc');
    await page.locator('#balances-body').getByText('Unknown: no balance of bsc was ever read.').waitFor();
    assert.equal(await rows.count(), 0);

    await choose.selectOption('sol');
    await until('only sol is shown', async () => {
      const chains = await rows.locator('[data-label=Chain]').allInnerTexts();
      return chains.length > 0 && chains.every((it) => it.trim() === 'sol');
    });
    for (const amount of await amounts()) {
      assert.match(amount, /^unknown: server error\s+no earlier value$/);
    }

    await choose.selectOption('btc');
    await until('only btc is shown', async () => {
      const chains = await rows.locator('[data-label=Chain]').allInnerTexts();
      return chains.length > 0 && chains.every((it) => it.trim() === 'btc');
    });
    const asked = (await amounts()).filter((it) => it.startsWith('unknown'));
    assert(asked.length > 0);
    for (const amount of asked) assert.match(amount, /^unknown: server error\s+last good [\d,.]+, .*ago|just now/s);

    const unknown = await page.locator('#holes-body tbody tr [data-label=Balance]').allInnerTexts();
    assert(unknown.length > 0);
    for (const amount of unknown) assert.match(amount, /^unknown\s/);
    const chains = Object.fromEntries(await page.locator('#chains-body tbody tr').evaluateAll((found) => found.map((it) => [
      it.querySelector('.name').textContent, it.querySelector('[data-label=Unknown]').innerText.trim(),
    ])));
    assert.deepEqual(chains, { bsc: '36', btc: '12', sol: '48' });
    await fits(page);
    await page.locator('#holes').scrollIntoViewIfNeeded();
    await page.locator('#holes').evaluate((it) => it.scrollIntoView());
    await picture(page, name);
  }
});
