// Whatever the service passes on from others is text on the page, and nothing else.

import assert from 'node:assert/strict';
import { api, fits, idle, notice, play, settled } from './stage.js';

const HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>';

await idle();
await api('POST', 'chains/bsc/providers/bsc-a/breaker', { state: 'open', reason: HOSTILE });

await play(async (open) => {
  const page = await open();
  await settled(page);
  await notice(page, 'bsc-a').waitFor();
  assert((await notice(page, 'bsc-a').innerText()).includes(HOSTILE));

  // What the service itself would refuse: a proxy with bad intentions stands in between.
  await page.route('**/api/v1/balances?*', async (route) => {
    const response = await route.fetch();
    const body = await response.json();
    const hostile = { address: HOSTILE, chain: HOSTILE, asset: HOSTILE, contract: `"><b>`, amount: HOSTILE, provider: HOSTILE };
    body.items = body.items.slice(0, 1).map((it) => ({ ...it, ...hostile }));
    await route.fulfill({ response, json: body });
  });
  await page.route('**/api/v1/events/log?*', async (route) => {
    const response = await route.fetch();
    const body = await response.json();
    body.items = body.items.map((it) => ({ ...it, type: HOSTILE, data: { chain: HOSTILE, [HOSTILE]: HOSTILE } }));
    await route.fulfill({ response, json: body });
  });
  await page.reload();
  await settled(page);
  const row = page.locator('#balances-body tbody tr').first();
  await row.getByText(HOSTILE).first().waitFor();
  assert.match(await row.locator('[data-label=Amount]').innerText(), /^unknown/);
  await page.locator('#events-body').getByText(HOSTILE).first().waitFor();
  assert.equal(await page.title(), 'Scanhost');
  assert.deepEqual(await page.locator('img').evaluateAll((found) => found.map((it) => it.getAttribute('src'))), ['icon.svg']);
  assert.equal(await page.locator('script').count(), 1);
  await fits(page);
});
