// What the page knows, where it came from, and who is told when it changes.

import { all, get, query } from './api.js';
import { now } from './clock.js';

const EVENTS_MAX = 1000;
const EVENTS_PAGE = 25;
const TRANSITIONS_MAX = 500;
const HOLES_MAX = 1000;

/** Null is what was never loaded; it is shown as unknown, never as empty. */
export const state = {
  session: null,
  chains: null,
  providers: null,
  scans: null,
  holes: null,
  /** The newest first; `kinds` are those that the user wants, null is all of them. */
  events: null,
  kinds: null,
  /** Where the log of events goes on; null is its end. */
  older: null,
  /** Changes of gates, the newest first, whatever else happened meanwhile. */
  transitions: null,
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

/** Paths that this service has, below `/api/v1/`; null until it told. */
let paths = null;

/** Whether the service offers a path; what it does not offer is not asked for. */
export async function offers(path) {
  paths ??= Object.keys((await get('openapi.json')).paths ?? {});
  return paths.some((it) => it.replace(/^.*\/api\/v1\//, '').replace(/^\//, '') === path);
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
    if (!chain.last_scan || chain.last_scan.unknown === 0) continue;
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
  await Promise.all([loadProviders(), loadScans(), loadChainsAndHoles(), loadEvents(), loadTransitions()]);
}

// What a chain's beginning looks like is no happening.
const isTold = (event) => event.type !== 'scan_state' && event.type !== 'scan_progress';
const isWanted = (event, kinds) => kinds === null || kinds.includes(event.type);

async function logged(parameters) {
  const page = await get(query('events/log', parameters));
  return { items: page.items.filter(isTold), next: page.next_cursor ?? null };
}

/** Two lists, the newest first, as one. */
function merged(one, other, most) {
  const found = new Map([...(one ?? []), ...(other ?? [])].map((it) => [it.id, it]));
  const order = (a, b) => (BigInt(a.id) < BigInt(b.id) ? 1 : -1);
  return [...found.values()].sort(order).slice(0, most);
}

export const loadTransitions = loader('transitions', async () => {
  const { items } = await logged({ types: 'provider_state', limit: 200 });
  return merged(state.transitions, items, TRANSITIONS_MAX);
});

/** The newest events of the wanted kinds, with those that the stream brought meanwhile. */
export const loadEvents = loader('events', async () => {
  const { kinds } = state;
  const { items, next } = await logged({ types: kinds?.join(','), limit: EVENTS_PAGE });
  if (state.kinds !== kinds) return state.events;
  state.older = next;
  const newer = (state.events ?? []).filter((it) => items.length === 0 || BigInt(it.id) > BigInt(items[0].id));
  return merged(items, newer, EVENTS_MAX);
});

/** Shows other kinds of events. */
export function wantEvents(kinds) {
  Object.assign(state, { kinds, events: null, older: null });
  changed('events');
  return loadEvents();
}

/** One more page of what happened before. */
export async function loadOlder() {
  const { kinds, older } = state;
  const { items, next } = await logged({ types: kinds?.join(','), limit: EVENTS_PAGE, cursor: older });
  if (state.kinds !== kinds || state.older !== older) return;
  state.events = merged(state.events, items, Infinity);
  state.older = next;
  changed('events');
}

/** Keeps an event of the stream. */
export function keep(event) {
  if (!event.id || !isTold(event)) return;
  if (event.type === 'provider_state') {
    state.transitions = merged(state.transitions, [event], TRANSITIONS_MAX);
    changed('transitions');
  }
  if (isWanted(event, state.kinds)) {
    state.events = merged(state.events, [event], Math.max(EVENTS_MAX, state.events?.length ?? 0));
    changed('events');
  }
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
