// A provider is down: who and why stands in the first view, on every screen.

import assert from 'node:assert/strict';
import { DESK, PHONE, fits, idle, inFirstView, notice, picture, play, provider, scan, settled, until } from './stage.js';

await idle();
await until('the circuit of bsc-a is open', async () => {
  if ((await provider('bsc', 'bsc-a')).state === 'open') return true;
  await scan('bsc');
  return false;
});

await play(async (open) => {
  for (const [name, viewport, dark] of [['outage-wide', DESK, false], ['outage-phone', PHONE, false], ['outage-dark', DESK, true], ['outage-phone-dark', PHONE, true]]) {
    const page = await open({ viewport, dark });
    await settled(page);
    const line = notice(page, 'bsc-a');
    await line.waitFor();
    await inFirstView(page, line);
    const text = await line.innerText();
    for (const part of ['bsc-a', 'bsc', 'down', 'circuit is open', '503 Service Unavailable', 'tried again in']) {
      assert(text.includes(part), `${name}: \`${part}\` is not in \`${text}\``);
    }
    assert.equal(await page.locator('#attention').getAttribute('data-level'), 'bad');
    await fits(page);
    const [ground, ink] = await page.evaluate(() => {
      const style = getComputedStyle(document.body);
      return [style.backgroundColor, style.color].map((it) => Number(it.match(/\d+/)[0]));
    });
    assert(dark ? ground < 60 && ink > 180 : ground > 220 && ink < 60, `${name}: ${ground} under ${ink}`);
    await picture(page, name);

    // The breaker, what it did, and what others do for it.
    const row = page.locator('#providers-body tbody').filter({ hasText: 'bsc-a' }).first();
    assert.match(await row.innerText(), /down\s+open/);
    await row.getByRole('button', { name: 'More about bsc-a' }).click();
    await row.getByText('closed → open').waitFor();
    assert.match(await page.locator('#chains-body tr', { hasText: 'bsc' }).innerText(), /1 of 3 healthy\s+1 not asked yet/);
    await fits(page);
  }
});
