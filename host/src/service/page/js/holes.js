// Holes: what the last pass of each chain did not come to know, with every provider's word.

import { byId, h } from './dom.js';
import { age } from './clock.js';
import { plain } from './format.js';
import { address, lastGood } from './parts.js';
import { on, state } from './store.js';
import { pager, table } from './table.js';

const LIMIT = 25;

export function start() {
  const view = table(byId('holes-body'), {
    caption: 'Unknown balances and why',
    empty: 'Nothing is unknown: every cell of the last passes was read.',
    keyOf: (it) => `${it.chain}\n${it.address}\n${it.asset}`,
    columns: [
      { label: 'Address', kind: 'who', data: (it) => [it.address, it.chain], show: ([text, chain]) => [address(text), h('span', { class: 'sub' }, chain)] },
      { label: 'Asset', data: (it) => it.asset, show: (symbol) => symbol ?? 'all' },
      { label: 'Balance', kind: 'wide', data: (it) => [it.last ?? null, decimalsOf(it)], show: ([last, decimals]) => [h('span', { class: 'unknown' }, 'unknown'), h('span', { class: 'sub' }, lastGood(last, decimals, null))] },
      { label: 'Why', kind: 'why', data: (it) => [it.class, it.message, it.providers], show: why },
      { label: 'Asked', data: (it) => it.at ?? null, show: (at) => age(at) },
    ],
  });
  const pages = pager(byId('holes-pager'), { name: 'unknown balances', load: show });

  function show() {
    const found = state.holes;
    const from = Number(pages.cursor() ?? 0);
    const items = found?.items.slice(from, from + LIMIT) ?? null;
    pages.loaded(items ?? [], found && from + LIMIT < found.items.length ? String(from + LIMIT) : null);
    const failed = found === null ? state.failed.get('holes')?.message ?? null : null;
    view.show(items, failed ?? (items?.length === 0 ? nothing() : null));
  }

  on(['holes', 'chains'], () => {
    if (Number(pages.cursor() ?? 0) >= (state.holes?.items.length ?? 0)) pages.first();
    show();
  });
}

/** An empty list says something only of chains that were scanned. */
function nothing() {
  const never = (state.chains ?? []).filter((chain) => !chain.last_scan).map((chain) => chain.name);
  if (never.length === 0) return null;
  return `Not scanned yet, so nothing is known of: ${never.join(', ')}.`;
}

function decimalsOf(hole) {
  const assets = state.chains?.find((chain) => chain.name === hole.chain)?.assets ?? [];
  const asset = assets.find((it) => (hole.contract ? it.contract === hole.contract : it.symbol === hole.asset));
  return asset?.decimals ?? null;
}

function why([word, message, providers]) {
  return [
    h('span', {}, h('span', { class: 'word' }, plain(word)), message ? ` ${message}` : ''),
    providers?.length > 0
      ? h('ul', { class: 'said' }, providers.map((it) => h('li', { class: 'sub' },
        `${it.provider}: ${plain(it.class)}${it.http_status ? ` (HTTP ${it.http_status})` : ''}${it.message ? `, ${it.message}` : ''}`)))
      : null,
  ];
}
