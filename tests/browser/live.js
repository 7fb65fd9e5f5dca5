// What happens is shown by the event stream: nothing is polled and nothing loaded anew.

import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { DESK, PHONE, SERVICE, breakHost, fits, idle, mendAll, notice, picture, play, scan, settled, until } from './stage.js';

// A way to the service that can be cut.
const { hostname, port } = new URL(SERVICE);
const sockets = new Set();
let isCut = false;
const way = createServer((client) => {
  if (isCut) return client.destroy();
  const service = connect(Number(port), hostname);
  for (const [one, other] of [[client, service], [service, client]]) {
    sockets.add(one);
    one.pipe(other);
    one.on('error', () => other.destroy());
    one.on('close', () => {
      sockets.delete(one);
      other.destroy();
    });
  }
});
await new Promise((resolve) => way.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${way.address().port}/`;

await idle();
await play(async (open) => {
  for (const [name, viewport] of [['well-phone', PHONE], ['well-wide', DESK]]) {
    const page = await open({ viewport });
    await settled(page);
    await page.getByRole('heading', { name: /^All is well/ }).waitFor();
    await fits(page);
    await picture(page, name);
  }

  const page = await open();
  await settled(page);
  await page.evaluate(() => { window.isSame = true; });
  let askedAt = Date.now();
  page.on('request', () => { askedAt = Date.now(); });

  // An outage of all of a chain's providers, and its end.
  for (const host of ['blockstream', 'mempool']) await breakHost(host);
  const running = page.locator('#scans-body progress').waitFor();
  const [outage] = await Promise.all([scan('btc'), running, notice(page, 'mempool').waitFor()]);
  assert.equal(outage.status, 'gave_up');
  await notice(page, 'btc').waitFor();
  assert.match(await notice(page, 'btc').innerText(), /gave up.*12 balances unknown/s);
  assert.match(await page.locator('#spoken').textContent(), /btc|mempool|blockstream/);
  await mendAll();
  // One may answer all of it before the other's circuit is half-open; a later scan tries that one.
  await until('both answer again', async () => {
    assert.equal((await scan('btc')).status, 'complete');
    return page.getByRole('heading', { name: /^All is well/ }).isVisible();
  });
  await page.locator('#events-body tr', { hasText: 'Scan complete' }).first().waitFor();

  // Without events nothing is asked.
  await until('the page asks nothing for a while', () => Date.now() - askedAt > 5000);

  // A broken stream is told, and what happened meanwhile is found.
  isCut = true;
  sockets.forEach((it) => it.destroy());
  await page.locator('#live[data-live="lost"]').waitFor();
  await notice(page, 'This page').waitFor();
  await breakHost('sol-a');
  await scan('sol');
  isCut = false;
  await page.locator('#live[data-live="live"]').waitFor();
  await notice(page, 'sol-a').waitFor();
  await until('the notice of the broken stream goes', async () => await notice(page, 'This page').count() === 0);
  assert.equal(await page.evaluate(() => window.isSame), true);
}, { url });
way.close();
