// Balances: what is stored, from whom, how old; and beside each what the last pass did not come to know.

import { all, get, query } from './api.js';
import { byId, fill, h } from './dom.js';
import { age } from './clock.js';
import { count, plain } from './format.js';
import { address, lastGood, money } from './parts.js';
import { changed, offers, on, state } from './store.js';
import { follow } from './live.js';
import { pager, table } from './table.js';

// A card of a phone is as high as five rows of a table.
const LIMIT = matchMedia('(max-width: 760px)').matches ? 8 : 25;

let shown = null;
let totals = null;
let problem = null;
let turn = 0;

export function start() {
  const form = byId('balances-filter');
  const view = table(byId('balances-body'), {
    caption: 'Balances with their source and age',
    empty: 'Nothing is stored for this.',
    keyOf: cellOf,
    columns: [
      { label: 'Address', kind: 'who', data: (it) => it.address, show: address },
      { label: 'Chain', kind: 'pair', data: (it) => it.chain, show: (chain) => chain },
      { label: 'Asset', kind: 'pair second', data: (it) => [it.asset, it.contract], show: ([symbol, contract]) => h('span', { title: contract }, symbol) },
      { label: 'Amount', kind: 'number wide', data: (it) => [it.amount ?? null, it.decimals, it.pending, it.hole], show: amountOf },
      { label: 'Source', data: (it) => [it.provider, it.height, it.commitment, it.scope], show: source },
      { label: 'Age', data: (it) => it.observed_at ?? null, show: (at) => age(at, 'never read') },
    ],
  });
  const sums = table(byId('totals-body'), {
    caption: 'Sums by chain, set and asset',
    empty: 'No sums.',
    keyOf: (it) => `${it.chain}/${it.set}/${it.asset}/${it.contract}`,
    columns: [
      { label: 'Sum of', data: (it) => [it.chain, it.set], show: ([chain, set]) => [h('span', { class: 'name' }, set), set === chain ? null : h('span', { class: 'sub' }, chain)] },
      { label: 'Asset', data: (it) => it.asset, show: (symbol) => symbol },
      { label: 'Sum of the last good values', kind: 'number wide', data: (it) => [it.amount ?? null, it.decimals, it.asset, it.unknown], show: sum },
      { label: 'Never known', kind: 'number', data: (it) => it.unknown ?? null, show: (unknown) => (unknown === 0 ? 'none' : h('span', { class: 'unknown' }, unknown === null ? 'unknown' : count(unknown))) },
      { label: 'Known', kind: 'number pair', data: (it) => it.known, show: count },
      { label: 'Funded', kind: 'number pair second', data: (it) => it.funded, show: count },
    ],
  });
  const pages = pager(byId('balances-pager'), { name: 'balances', load });

  async function load(cursor) {
    const mine = ++turn;
    try {
      const page = await get(query('balances', { ...filter(form), limit: LIMIT, cursor }));
      if (mine !== turn) return;
      shown = page.items;
      problem = null;
      pages.loaded(page.items, page.next_cursor);
    } catch (reason) {
      if (mine !== turn) return;
      problem = reason.message;
    }
    changed('balances');
  }

  async function sumUp() {
    try {
      if (!await offers('balances/totals')) return;
      totals = (await all('balances/totals', { chain: filter(form).chain }, 200)).items;
      changed('balances');
    } catch {
      // The balances say what is wrong; sums of before would look like sums of now.
      totals = null;
      changed('balances');
    }
  }

  function reload() {
    load(pages.cursor());
    sumUp();
  }

  on(['balances', 'holes', 'chains'], () => {
    const first = pages.cursor() === null;
    const items = shown && [...(first ? neverKnown(filter(form), shown) : []), ...shown.map(withHole)];
    view.show(items, problem, neverRead(filter(form).chain));
    byId('totals-body').hidden = totals === null || totals.length === 0;
    if (totals !== null) sums.show(totals);
  });
  on(['chains'], () => choose(form.elements.chain));
  // A pass that ended has new ages for all; a change between passes concerns one cell.
  let soon = null;
  const later = () => {
    soon ??= setTimeout(() => {
      soon = null;
      reload();
    }, 500);
  };
  follow((event) => {
    if (['balance_changed', 'scan_complete', 'scan_error', 'scan_state'].includes(event.type)) later();
  });
  const again = () => {
    pages.first();
    reload();
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    again();
  });
  form.addEventListener('reset', () => setTimeout(again));
  form.elements.chain.addEventListener('change', again);
  return reload;
}

const cellOf = (it) => `${it.chain}\n${it.address}\n${it.asset}`;

function filter(form) {
  const { chain, asset, address: text } = form.elements;
  return { chain: chain.value, asset: asset.value.trim(), address: text.value.trim() };
}

function choose(select) {
  const names = (state.chains ?? []).map((chain) => chain.name);
  fill(select, names, () => [h('option', { value: '' }, 'all'), names.map((name) => h('option', { value: name }, name))]);
}

/** A stored balance, with the hole that the last pass left in its place, if none has read it since. */
function withHole(balance) {
  const isNewer = (hole) => Date.parse(hole.at) > Date.parse(balance.observed_at);
  const hole = state.holes?.items.find((it) => cellOf(it) === cellOf(balance) && isNewer(it));
  return hole ? { ...balance, hole: { class: hole.class, message: hole.message } } : balance;
}

/** Cells that no pass ever came to know: they have no stored balance and must not look like nothing. */
function neverKnown(wanted, stored) {
  const there = new Set(stored.map(cellOf));
  const same = (one, other) => one === '' || one.toLowerCase() === String(other).toLowerCase();
  return (state.holes?.items ?? [])
    .filter((it) => !it.last && !there.has(cellOf(it)))
    .filter((it) => same(wanted.chain, it.chain) && same(wanted.asset, it.asset) && same(wanted.address, it.address))
    .slice(0, LIMIT)
    .map((it) => ({ chain: it.chain, address: it.address, asset: it.asset, contract: it.contract, amount: null, hole: { class: it.class, message: it.message } }));
}

/** What an empty list hides: chains of which nothing was ever read. */
function neverRead(only) {
  const names = (state.chains ?? [])
    .filter((it) => (only === '' || it.name === only) && it.balances?.count === 0)
    .map((it) => it.name);
  return names.length === 0 ? null : `Unknown: no balance of ${names.join(', ')} was ever read.`;
}

function amountOf([amount, decimals, pending, hole], it) {
  if (hole) {
    const last = amount === null ? null : { amount, observed_at: it.observed_at };
    return [
      h('span', { class: 'unknown', title: hole.message }, `unknown: ${plain(hole.class)}`),
      h('span', { class: 'sub' }, lastGood(last, decimals, null)),
    ];
  }
  const moving = pending && pending !== '0' ? h('span', { class: 'sub' }, money(pending, decimals, null), ' pending') : null;
  return [money(amount, decimals, null), moving];
}

function source([provider, height, commitment, scope]) {
  if (!provider) return h('span', { class: 'none' }, 'nobody yet');
  const place = typeof height === 'number' ? `at ${count(height)}` : 'height unknown';
  return [provider, h('span', { class: 'where' }, ` ${[place, commitment, scope === 'associated' ? 'associated accounts' : null].filter(Boolean).join(', ')}`)];
}

function sum([amount, decimals, symbol, unknown]) {
  if (amount === null) return h('span', { class: 'unknown' }, 'unknown');
  return [unknown === 0 ? null : h('span', { class: 'unknown' }, 'at least '), money(amount, decimals, symbol)];
}
