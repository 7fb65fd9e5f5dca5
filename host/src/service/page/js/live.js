// The event stream: what happens changes the page. Nothing is polled; after a gap, however it came
// about, everything is loaded anew.

import { get, stream } from './api.js';
import { now } from './clock.js';
import * as store from './store.js';

const TYPES = [
  'scan_started', 'scan_progress', 'scan_token_error', 'scan_error', 'scan_complete', 'scan_state',
  'balance_changed', 'provider_state', 'tx_state', 'reconcile_mismatch', 'alert_firing', 'alert_resolved',
];
const WAITS_MS = [1000, 2000, 4000, 8000, 16000, 30000];
// A machine that slept this long may hold a connection that is dead and does not know it.
const ASLEEP_MS = 60000;

let source = null;
let attempts = 0;
let retry = null;
let hiddenAt = null;
const onEvent = new Set();

/** Calls back with each event of the stream. */
export function follow(callback) {
  onEvent.add(callback);
}

export function open() {
  close();
  say('connecting');
  source = stream();
  source.addEventListener('open', () => {
    attempts = 0;
    say('live');
    store.loadAll();
  });
  source.addEventListener('error', lost);
  for (const type of TYPES) source.addEventListener(type, (frame) => took(type, frame));
}

export function close() {
  clearTimeout(retry);
  source?.close();
  source = null;
  say('off');
}

function say(word) {
  const { live } = store.state;
  if (live.word === word) return;
  // Connecting again and again is one outage of the stream, with one beginning.
  const since = word === 'connecting' && live.word === 'lost' ? live.since : now();
  store.state.live = { word: word === 'connecting' && live.word === 'lost' ? 'lost' : word, since };
  store.changed('live');
}

async function lost() {
  say('lost');
  // The browser connects again by itself after a broken connection, not after a refusal.
  if (source?.readyState !== EventSource.CLOSED) return;
  source = null;
  try {
    await get('session');
  } catch (problem) {
    if (problem.status === 401) return store.changed('signed-out');
  }
  const wait = WAITS_MS[Math.min(attempts, WAITS_MS.length - 1)];
  attempts += 1;
  clearTimeout(retry);
  retry = setTimeout(open, wait);
}

function took(type, frame) {
  let data;
  try {
    data = JSON.parse(frame.data);
  } catch {
    return;
  }
  const event = { id: frame.lastEventId || null, type, data, at: data.at ?? new Date(now()).toISOString() };
  act(type, data);
  store.keep(event);
  for (const callback of onEvent) callback(event);
}

const soon = new Map();

/** Once, after things came to rest, and during a storm once per `ms`. */
function later(name, ms, callback) {
  if (soon.has(name)) return;
  soon.set(name, setTimeout(() => {
    soon.delete(name);
    callback();
  }, ms));
}

function act(type, data) {
  switch (type) {
    case 'scan_progress':
      store.progress(data);
      // Failures below the breaker's limit and totals change without an event of their own.
      later('providers', 3000, store.loadProviders);
      break;
    case 'scan_started':
      later('scans', 100, store.loadScans);
      later('chains', 100, store.loadChains);
      break;
    case 'scan_complete':
    case 'scan_error':
      later('scans', 100, store.loadScans);
      later('holes', 100, store.loadChainsAndHoles);
      later('providers', 100, store.loadProviders);
      break;
    case 'provider_state':
      later('providers-now', 50, store.loadProviders);
      later('chains', 100, store.loadChains);
      break;
    default:
  }
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    hiddenAt = Date.now();
  } else if (hiddenAt !== null && source !== null && Date.now() - hiddenAt > ASLEEP_MS) {
    open();
  }
});
