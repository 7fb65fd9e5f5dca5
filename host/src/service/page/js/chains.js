// Chains: how fresh they are, what runs, who serves them.

import { byId, h } from './dom.js';
import { age, eachSecond, now, until } from './clock.js';
import { count, duration, percent, plural } from './format.js';
import { cancel, scanNow } from './actions.js';
import { buttons, mark } from './parts.js';
import { mayChange, on, state } from './store.js';
import { table } from './table.js';
import { scanWord, stalenessOf, unknownOf, wasAsked } from './words.js';

export function start() {
  const view = table(byId('chains-body'), {
    caption: 'Chains and how fresh they are',
    empty: 'No chain is configured. Add a table [chains.NAME] to the configuration.',
    keyOf: (chain) => chain.name,
    columns: [
      { label: 'Chain', data: (it) => [it.name, it.network, it.strategy], show: name },
      { label: 'Last complete pass', data: (it) => [it.last_complete_at, stalenessOf(it, now()) !== null], show: fresh },
      { label: 'Oldest balance', data: (it) => [it.balances?.oldest_observed_at ?? null, it.balances?.count ?? null, isOld(it)], show: oldest },
      { label: 'Balances', kind: 'number pair', data: (it) => it.balances?.count ?? null, show: (stored) => (stored === 0 ? h('span', { class: 'none' }, 'none') : count(stored)) },
      { label: 'Unknown', kind: 'number pair second', data: (it) => [unknownOf(it.last_scan)], show: holes },
      { label: 'Providers', data: (it) => health(it.name), show: providers },
      { label: 'Pass', kind: 'pass', data: passOf, show: pass },
      { label: 'Action', hidden: true, kind: 'actions', live: action },
    ],
  });
  const show = () => view.show(state.chains, state.chains === null ? state.failed.get('chains')?.message ?? null : null);
  on(['chains', 'providers', 'session'], show);
  eachSecond(show);
}

function name([chain, network, strategy]) {
  return [h('span', { class: 'name' }, chain), h('span', { class: 'sub' }, network, strategy === 'spread' ? ', spread' : '')];
}

function fresh([at, stale]) {
  return [stale ? mark('warn') : null, age(at, 'never')];
}

function oldest([at, stored, old]) {
  if (stored === 0) return h('span', { class: 'none' }, 'none stored');
  return [old ? mark('warn') : null, age(at)];
}

/** Whether the oldest stored balance missed two passes. */
function isOld(chain) {
  const at = chain.balances?.oldest_observed_at;
  return Boolean(at) && typeof chain.every_ms === 'number' && now() - Date.parse(at) > 2 * chain.every_ms;
}

function holes([unknown]) {
  if (typeof unknown !== 'number') return h('span', { class: 'none' }, 'not scanned');
  return unknown === 0 ? 'none' : h('a', { href: '#holes', class: 'warn' }, count(unknown));
}

function health(chain) {
  if (state.providers === null) return null;
  const mine = state.providers.filter((it) => it.chain === chain && it.type === 'scan');
  return { all: mine.length, good: mine.filter((it) => it.status === 'healthy' && wasAsked(it)).length, idle: mine.filter((it) => !wasAsked(it)).length, down: mine.filter((it) => it.status === 'down').length };
}

function providers(found) {
  if (found === null) return h('span', { class: 'none' }, 'unknown');
  const { all } = found;
  if (all === 0) return [mark('warn'), 'none in its pool'];
  const level = found.down === all ? 'bad' : found.good + found.idle < all ? 'warn' : found.good === 0 ? 'off' : 'good';
  const idle = found.idle > 0 ? h('span', { class: 'sub' }, `${found.idle} not asked yet`) : null;
  return [h('span', {}, mark(level), `${found.good} of ${all} healthy`), idle];
}

function passOf(chain) {
  if (chain.scan) return { running: chain.scan };
  const { last_scan: last, next_scan_at: next, every_ms: every } = chain;
  return { last: last && { status: last.status, ended_at: last.ended_at, unknown: last.unknown, elapsed_ms: last.elapsed_ms }, next, every };
}

function pass({ running, last, next, every }) {
  if (running) return progress(running);
  return [
    last
      ? h('span', {}, `${scanWord(last.status)} in ${duration(last.elapsed_ms)}`)
      : h('span', { class: 'none' }, 'no pass yet'),
    h('span', { class: 'sub' }, next ? until(next, 'next', 'next one is due') : every ? `every ${duration(every)}` : 'only when asked'),
  ];
}

/** A bar, what is done of what, and the time left. */
export function progress(scan) {
  const part = percent(scan.known, scan.cells);
  const left = typeof scan.eta_ms === 'number' ? `${duration(scan.eta_ms)} left` : 'time left unknown';
  const label = part === null ? 'size not known yet' : `${part} % of ${plural(scan.cells, 'cell')}`;
  return h('span', { class: 'progress' },
    h('span', {}, `${label} · ${left}`),
    h('progress', { max: scan.cells || null, value: part === null ? null : scan.known, 'aria-label': `Pass of ${scan.chain}: ${label}` }),
    scan.unknown > 0 ? h('span', { class: 'sub' }, `${count(scan.unknown)} to ask again`) : null);
}

function action(chain) {
  return buttons(chain,
    [(it) => `Cancel the scan of ${it.name}`, 'Cancel', (it) => mayChange() && Boolean(it.scan), (it, button) => cancel(it.scan, button)],
    [(it) => `Scan ${it.name} now`, 'Scan now', (it) => mayChange() && !it.scan, (it, button) => scanNow(it.name, button)]);
}
