// What the scripts share: a browser that refuses whatever the page must not do, the service's API,
// and the simulator's faults.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const SERVICE = process.env.SCANHOST_URL;
const UPSTREAM = process.env.UPSTREAM_URL;
const SCREENSHOTS = process.env.SCREENSHOTS;

export const DESK = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

const TIMEOUT_MS = 20_000;
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];

function executable() {
  const folders = (process.env.PATH ?? '').split(':');
  const found = process.env.CHROMIUM ?? NAMES.flatMap((name) => folders.map((it) => join(it, name))).find(existsSync);
  assert(found, 'there is no Chromium; run `make tools`, or name one in CHROMIUM');
  return found;
}

/**
 * Runs `script(open)` with a fresh browser. `open({ viewport, dark, url })` answers a page. At the end no
 * page may have asked another host, hurt its content policy, thrown, or written an error to its console;
 * `refusals` are answers that the script provokes on purpose, as `STATUS path`.
 */
export async function play(script, { refusals = [], url = SERVICE } = {}) {
  const browser = await chromium.launch({
    executablePath: executable(),
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
    ],
  });
  const wrong = [];
  async function open({ viewport = DESK, dark = false, at = url } = {}) {
    const context = await browser.newContext({ viewport, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce' });
    context.setDefaultTimeout(TIMEOUT_MS);
    const { origin } = new URL(at);
    context.on('request', (request) => {
      if (new URL(request.url()).origin !== origin) wrong.push(`a request to ${request.url()}`);
    });
    context.on('response', (response) => {
      const said = `${response.status()} ${new URL(response.url()).pathname}`;
      if (response.status() >= 400 && !refusals.some((it) => said.startsWith(it))) wrong.push(said);
    });
    const page = await context.newPage();
    page.on('pageerror', (error) => wrong.push(`an error: ${error.stack}`));
    page.on('console', (message) => {
      const isRefusal = message.text().startsWith('Failed to load resource');
      if (message.type() === 'error' && !isRefusal) wrong.push(`on the console: ${message.text()}`);
    });
    await page.exposeFunction('tellViolation', (text) => wrong.push(`the policy forbids ${text}`));
    await page.addInitScript(() => document.addEventListener('securitypolicyviolation', (event) => {
      window.tellViolation(`${event.violatedDirective} ${event.blockedURI}`);
    }));
    await page.goto(at);
    return page;
  }
  try {
    await script(open);
  } finally {
    await browser.close();
  }
  assert.deepEqual(wrong, []);
}

/** Waits until `look()` answers something that is true, and answers it. */
export async function until(what, look) {
  const end = Date.now() + TIMEOUT_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert(Date.now() < end, `it does not come to this: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The service's API, for what happens behind the page's back. */
export async function api(method, path, body) {
  const response = await fetch(`${SERVICE}api/v1/${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  assert(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return text === '' ? null : JSON.parse(text);
}

export async function provider(chain, name) {
  const { items } = await api('GET', `providers?chain=${chain}`);
  return items.find((it) => it.provider === name);
}

/** Waits until no chain is being scanned and each was. */
export const idle = () => until('every chain was scanned', async () => {
  const { items } = await api('GET', 'chains');
  return items.every((it) => it.scan === null && it.last_scan !== null);
});

/** Scans a chain to the pass's end. */
export async function scan(chain) {
  const { id } = await api('POST', 'scans', { chain });
  return until(`the scan of ${chain} ends`, async () => {
    const found = await api('GET', `scans/${id}`);
    return found.status === 'running' ? null : found;
  });
}

/** Lets every request to a simulated host fail from now on. */
export const breakHost = (host) => control('POST', 'faults', { when: { host }, what: { kind: 'status', code: 503, body: 'html' } });

/** Lets all simulated hosts be well again. */
export const mendAll = () => control('DELETE', 'faults');

async function control(method, path, body) {
  const response = await fetch(`${UPSTREAM}/_control/${path}`, { method, body: body && JSON.stringify(body) });
  assert(response.ok, await response.text());
}

/** The line of the attention strip about somebody. */
export const notice = (page, name) => page.locator('#attention li').filter({ has: page.locator('.name', { hasText: new RegExp(`^${name}$`) }) });

/** Fails unless all of an element can be seen without scrolling. */
export async function inFirstView(page, locator) {
  assert.equal(await page.evaluate(() => scrollY), 0);
  const box = await locator.boundingBox();
  const { width, height } = page.viewportSize();
  assert(box && box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height,
    `not in the first view: ${JSON.stringify(box)}`);
}

/** Fails where the page is wider than the screen. */
export async function fits(page) {
  const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert(wide <= screen, `${wide} px on ${screen}`);
}

/** Puts a picture of the first view into the folder of pictures. */
export async function picture(page, name) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

/** The page shows what the service knows, and follows it. */
export async function settled(page) {
  await page.locator('#live[data-live="live"]').waitFor();
  await page.locator('#providers-body tbody tr').first().waitFor();
  await page.locator('#chains-body tbody tr').first().waitFor();
  await page.waitForLoadState('load');
}
