// Providers: their gates, what they last said, what an operator may do with them.

import { byId, fill, h } from './dom.js';
import { age, now, until } from './clock.js';
import { count, duration, plain, utc } from './format.js';
import { force, release } from './actions.js';
import { buttons, facts, standing } from './parts.js';
import { mayChange, on, state } from './store.js';
import { table } from './table.js';
import { causeWord, endOf, errorOf, isForced, providerKey, reasonOf, stateWord, untilOf, wasAsked } from './words.js';

const HISTORY = 12;

export function start() {
  const view = table(byId('providers-body'), {
    caption: 'Providers, their breakers and what they last said',
    empty: 'No provider is in a pool. Name one in pool = [...] of a chain.',
    keyOf: providerKey,
    detail,
    columns: [
      { label: 'Provider', kind: 'who', data: (it) => [it.provider, it.chain, it.type, it.plugin], show: name },
      { label: 'State', data: (it) => [it.status, it.state, wasAsked(it)], show: (data, it) => standing(it) },
      { label: 'Why, and last error', kind: 'why', data: (it) => [!wasAsked(it) && it.why === 'identity_pending' ? null : reasonOf(it), untilOf(it), it.state, it.last_error, errorOf(it), endOf(it)], show: why },
      { label: 'Last answer', data: (it) => it.last_success ?? null, show: (at) => age(at, 'never') },
      { label: 'Fails', kind: 'number pair', data: (it) => (it.state === null ? null : it.consecutive_fails ?? null), show: count },
      { label: 'Requests today', kind: 'number pair second', data: (it) => today(it)?.requests ?? null, show: (used) => (used === null ? h('span', { class: 'none' }, 'none') : count(used)) },
      { label: 'Action', hidden: true, kind: 'actions', live: actions },
    ],
  });
  on(['providers', 'session', 'transitions', 'chains'], () => {
    const problem = state.providers === null ? state.failed.get('providers')?.message ?? null : null;
    view.show(state.providers && inOrder(state.providers), problem);
  });
}

/** In the order of the chains and of their pools. */
function inOrder(providers) {
  const chains = state.chains ?? [];
  const place = (it) => {
    const chain = chains.findIndex((chain) => chain.name === it.chain);
    const pool = chains[chain]?.pool?.indexOf(it.provider) ?? -1;
    return [chain < 0 ? chains.length : chain, it.type === 'scan' ? 0 : 1, pool < 0 ? 1e6 : pool];
  };
  const places = new Map(providers.map((it) => [it, place(it)]));
  return [...providers].sort((a, b) => {
    const [one, other] = [places.get(a), places.get(b)];
    return one[0] - other[0] || one[1] - other[1] || one[2] - other[2];
  });
}

function name([provider, chain, type, plugin]) {
  return h('span', {},
    h('span', { class: 'name' }, provider),
    h('span', { class: 'sub' }, chain, type === 'scan' ? '' : `, ${type}`, plugin && plugin !== provider ? ` · ${plugin}` : ''));
}

function why([reason, end, gate, at, message, words]) {
  return [
    reason ? h('span', {}, reason) : null,
    end || gate === 'open' || gate === 'held' ? h('span', { class: 'sub' }, end ? until(end, words.lead, words.passed) : words.none) : null,
    message ? h('span', { class: 'sub' }, h('span', { class: 'error' }, message), at ? [' · ', age(at)] : null) : null,
    !reason && !message ? h('span', { class: 'none' }, 'no error seen') : null,
  ];
}

/** The usage row of the service's present day. */
function today(provider) {
  const day = utc(new Date(now()).toISOString()).slice(0, 10);
  return provider.usage?.find((it) => it.day === day) ?? null;
}

const where = (it) => `${it.provider} on ${it.chain}${it.type === 'scan' ? '' : `, ${it.type}`}`;

function actions(provider) {
  return buttons(provider,
    [(it) => `Release ${where(it)}`, 'Release', (it) => mayChange() && (isForced(it) || Boolean(it.hold) || it.state === 'quarantined'), release],
    [(it) => `Force the breaker of ${where(it)}`, 'Force…', (it) => mayChange() && it.state !== null, force]);
}

function detail(cell, provider) {
  const transitions = history(provider);
  fill(cell, { ...provider, transitions }, () => h('div', { class: 'columns' },
    h('div', {}, h('h3', {}, 'Last transitions'), past(transitions)),
    h('div', {}, h('h3', {}, 'Gate'), facts([
      ['Endpoint', h('span', { class: 'address' }, provider.endpoint ?? 'unknown')],
      ['Breaker', provider.breaker ? `${stateWord(provider.breaker.state)}, generation ${provider.breaker.generation}` : 'unknown'],
      ['Forced', isForced(provider) ? `${plain(provider.forced.state)}: ${provider.forced.reason ?? 'no reason given'}` : 'no'],
      ['Forced until', isForced(provider) ? (provider.forced.until ? utc(provider.forced.until) : 'it is released') : null],
      ['Held', provider.hold ? `${plain(provider.hold.state)}: ${provider.hold.reason}` : 'no'],
      ['In flight', count(provider.in_flight)],
      ['Connections', provider.connections],
      ['Cells in one call', provider.cells_max && count(provider.cells_max)],
    ])),
    h('div', {}, h('h3', {}, 'Calls since start'), facts(told(provider.totals))),
    h('div', {}, h('h3', {}, 'Pacer'), facts(told(provider.pacer))),
    h('div', {}, h('h3', {}, 'Usage by day'), usage(provider.usage ?? []))));
}

/** What happened to a provider's gate, the newest first; null where it could not be loaded. */
function history(provider) {
  return state.transitions && state.transitions
    .filter((it) => providerKey(it.data) === providerKey(provider))
    .slice(0, HISTORY)
    .map(({ at, data }) => ({ at, from: data.from, to: data.to, why: data.why }));
}

function past(transitions) {
  if (transitions === null) return h('p', { class: 'none' }, 'Unknown: the log of events could not be loaded.');
  if (transitions.length === 0) return h('p', { class: 'none' }, 'None that are kept.');
  return h('ol', { class: 'past' }, transitions.map((it) => h('li', {},
    h('span', {}, `${stateWord(it.from)} → ${stateWord(it.to)}`),
    h('span', { class: 'sub' }, causeWord(it.why), ' · ', age(it.at)))));
}

/** The numbers of an object whose fields may grow. */
function told(object) {
  return Object.entries(object ?? {}).map(([key, value]) => [plain(key.replace(/_ms$/, '')), tell(key, value)]);
}

function tell(key, value) {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number') return key.endsWith('_ms') ? duration(value) : count(value);
  if (typeof value === 'string') return /^\d{4}-\d\d-\d\dT/.test(value) ? utc(value) : value;
  if (Array.isArray(value)) return value.map((it) => tell('', it)).join(', ');
  if (typeof value === 'object') return told(value).filter(([, it]) => it !== null).map(([name, it]) => `${name} ${it}`).join(', ');
  return String(value);
}

function usage(days) {
  if (days.length === 0) return h('p', { class: 'none' }, 'Nothing counted yet.');
  return h('table', { class: 'small' },
    h('thead', {}, h('tr', {}, ['Day', 'Requests', 'Answered', 'Failed', 'Slow down'].map((it) => h('th', { scope: 'col' }, it)))),
    h('tbody', {}, days.slice(0, 7).map((it) => h('tr', {}, h('th', { scope: 'row' }, it.day),
      [it.requests, it.successes, it.failures, it.rate_limited].map((value) => h('td', { class: 'number' }, count(value)))))));
}
