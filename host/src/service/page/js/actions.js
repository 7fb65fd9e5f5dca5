// What an operator may do from this page. Each asks first; the event stream shows what came of it.

import { del, post, query, segment } from './api.js';
import { ask, choice, select, text } from './dialog.js';
import { loadChains, loadProviders, loadScans } from './store.js';

const STATES = [
  ['open', 'Open', 'No call passes to it.'],
  ['closed', 'Closed', 'Calls pass, and failures do not open it.'],
  ['disabled', 'Disabled', 'The breaker is neither asked nor told.'],
];

const TIMES = [
  ['10m', '10 minutes'],
  ['1h', '1 hour'],
  ['8h', '8 hours'],
  ['1d', '1 day'],
  ['', 'until it is released'],
];

function breaker(provider) {
  return query(`chains/${segment(provider.chain)}/providers/${segment(provider.provider)}/breaker`, { type: provider.type });
}

/** Forces a provider's breaker, with a reason and an end. */
export function force(provider, opener) {
  ask({
    title: `Force the breaker of ${provider.provider}`,
    text: `On ${provider.chain}, for ${provider.type === 'scan' ? 'scans' : 'broadcasts'}. It overrides what the breaker sees, and survives a restart.`,
    fields: [
      choice('state', 'State', STATES, 'open'),
      text('reason', 'Reason', 'Who reads the page next sees it.'),
      select('for', 'For', TIMES, '1h'),
    ],
    confirm: 'Force it',
    danger: true,
    opener,
    run: async (form) => {
      const { state, reason, for: time } = form.elements;
      const body = { state: state.value, reason: reason.value.trim() };
      if (time.value !== '') body.for = time.value;
      await post(breaker(provider), body);
      await loadProviders();
    },
  });
}

/** Takes a forced state or a hold away. */
export function release(provider, opener) {
  ask({
    title: `Release ${provider.provider}`,
    text: `On ${provider.chain}: what an operator forced and what holds it is taken away, and its breaker decides again.`,
    confirm: 'Release it',
    opener,
    run: async () => {
      await del(breaker(provider));
      await loadProviders();
    },
  });
}

/** Starts a pass over a chain's set. */
export function scanNow(chain, opener) {
  ask({
    title: `Scan ${chain} now`,
    text: 'Reads every balance of its address lists. It uses the allowance of its providers.',
    confirm: 'Scan it',
    opener,
    run: async () => {
      await post('scans', { chain });
      await Promise.all([loadScans(), loadChains()]);
    },
  });
}

/** Cancels a running pass. */
export function cancel(scan, opener) {
  ask({
    title: `Cancel the scan of ${scan.chain}`,
    text: 'What was read stays. What was not read stays unknown, with its last good value.',
    confirm: 'Cancel the scan',
    danger: true,
    opener,
    run: async () => {
      await del(`scans/${segment(scan.id)}`);
      await Promise.all([loadScans(), loadChains()]);
    },
  });
}
