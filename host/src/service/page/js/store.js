// What the page knows, where it came from, and who is told when it changes.

import { all, get, query } from './api.js';
import { now } from './clock.js';

const EVENTS_MAX = 300;
const HOLES_MAX = 1000;

/** Null is what was never loaded; it is shown as unknown, never as empty. */
export const state = {
  session: null,
  chains: null,
  providers: null,
  scans: null,
  holes: null,
  events: [],
  /** Why the last load of a part failed, by part; what was loaded before stays. */
  failed: new Map(),
  live: { word: 'off', since: null },
};

const listeners = new Map();
const dirty = new Set();

/** Calls back after a part changed, once per frame. */
export function on(parts, callback) {
  for (const part of parts) {
    if (!listeners.has(part)) listeners.set(part, new Set());
    listeners.get(part).add(callback);
  }
}

/** Says that a part changed. */
export function changed(part) {
  if (dirty.size === 0) requestAnimationFrame(flush);
  dirty.add(part);
}

function flush() {
  const callbacks = new Set([...dirty].flatMap((part) => [...(listeners.get(part) ?? [])]));
  dirty.clear();
  for (const callback of callbacks) callback();
}

export const mayChange = () => state.session?.role === 'admin';

// One load of a part at a time; what is asked for meanwhile is one more load after it.
const loading = new Map();

function loader(part, load) {
  return async function reload() {
    if (loading.has(part)) {
      loading.set(part, true);
      return;
    }
    do {
      loading.set(part, false);
      try {
        state[part] = await load();
        state.failed.delete(part);
      } catch (problem) {
        state.failed.set(part, { message: problem.message, at: now() });
      }
      changed(part);
    } while (loading.get(part));
    loading.delete(part);
  };
}

export const loadProviders = loader('providers', async () => (await all('providers')).items);
export const loadChains = loader('chains', async () => (await all('chains')).items);
export const loadScans = loader('scans', async () => (await get(query('scans', { limit: 10 }))).items);

/** The holes of every chain's last ended pass; `more` names chains that have others. */
export const loadHoles = loader('holes', async () => {
  const chains = state.chains ?? (await all('chains')).items;
  const found = { items: [], more: [] };
  for (const chain of chains) {
    if (!chain.last_scan || chain.holes === 0) continue;
    const { items, more } = await all(`scans/${encodeURIComponent(chain.last_scan.id)}/holes`, {}, HOLES_MAX);
    found.items.push(...items);
    if (more) found.more.push(chain.name);
  }
  return found;
});

/** Chains first: they say whose holes there are. */
export async function loadChainsAndHoles() {
  await loadChains();
  await loadHoles();
}

export async function loadAll() {
  await Promise.all([loadProviders(), loadScans(), loadChainsAndHoles()]);
}

/** Keeps an event of the stream, the newest first. */
export function keep(event) {
  if (event.id && state.events.some((it) => it.id === event.id)) return;
  state.events.unshift(event);
  state.events.length = Math.min(state.events.length, EVENTS_MAX);
  changed('events');
}

/** Puts the numbers of a running pass where the page shows them. */
export function progress(data) {
  for (const scan of [
    ...(state.scans ?? []),
    ...(state.chains ?? []).map((chain) => chain.scan).filter(Boolean),
  ]) {
    if (scan.id !== data.scan) continue;
    for (const field of ['asked', 'known', 'unknown', 'invalid', 'funded', 'elapsed_ms', 'eta_ms']) {
      if (field in data) scan[field] = data[field];
    }
  }
  changed('chains');
  changed('scans');
}
