// Holes: what the last pass of each chain did not come to know, with every provider's word.

import { byId, h } from './dom.js';
import { age } from './clock.js';
import { plain, plural } from './format.js';
import { address, lastGood } from './parts.js';
import { on, state } from './store.js';
import { pager, table } from './table.js';
import { unknownOf } from './words.js';

const LIMIT = 10;

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
    view.show(items, failed, items?.length === 0 ? nothing() : null);
  }

  const rest = byId('holes-rest');
  on(['holes', 'chains'], () => {
    rest.textContent = notAsked();
    rest.hidden = rest.textContent === '';
    if (Number(pages.cursor() ?? 0) >= (state.holes?.items.length ?? 0)) pages.first();
    show();
  });
}

/** Cells that a pass which ended early never came to: nobody gave a reason for each of them. */
function notAsked() {
  const parts = (state.chains ?? [])
    .map(({ name, last_scan: scan }) => [name, scan ? unknownOf(scan) - scan.unknown : 0])
    .filter(([, left]) => left > 0)
    .map(([name, left]) => `${plural(left, 'balance')} of ${name}`);
  return parts.length === 0 ? '' : `Unknown too, since the pass ended before they were asked for: ${parts.join(', ')}.`;
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
    h('span', {}, h('span', { class: 'word' }, plain(word)), message ? `: ${message}` : ''),
    providers?.length > 0
      ? h('ul', { class: 'said' }, alike(providers).map(([text, names]) => h('li', { class: 'sub' }, `${names.join(', ')}: ${text}`)))
      : null,
  ];
}

/** What providers said, each once, with all who said so. */
function alike(providers) {
  const groups = new Map();
  for (const it of providers) {
    const status = it.http_status && !it.message?.startsWith(`HTTP ${it.http_status}`) ? ` (HTTP ${it.http_status})` : '';
    const text = `${plain(it.class)}${status}${it.message ? `, ${it.message}` : ''}`;
    groups.set(text, [...(groups.get(text) ?? []), it.provider]);
  }
  return [...groups];
}
