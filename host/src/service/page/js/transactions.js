// Transactions: shown where the service follows them.

import { get, query } from './api.js';
import { byId, h } from './dom.js';
import { age } from './clock.js';
import { plain } from './format.js';
import { address } from './parts.js';
import { follow } from './live.js';
import { offers } from './store.js';
import { pager, table } from './table.js';

const LIMIT = 25;

export function start() {
  const section = byId('transactions');
  const link = document.querySelector('nav a[href="#transactions"]');
  const view = table(byId('transactions-body'), {
    caption: 'Transactions and their state',
    empty: 'No transaction is followed.',
    keyOf: (it) => `${it.chain}/${it.txid}`,
    columns: [
      { label: 'Transaction', kind: 'who', data: (it) => [it.txid, it.chain], show: ([txid, chain]) => [address(txid), h('span', { class: 'sub' }, chain)] },
      { label: 'State', data: (it) => it.state ?? it.status ?? 'unknown', show: plain },
      { label: 'Why', kind: 'why', data: (it) => it.cause ?? it.error ?? it.message ?? null, show: (cause) => (cause ? plain(cause) : '') },
      { label: 'Changed', data: (it) => it.updated_at ?? it.at ?? null, show: (at) => age(at) },
    ],
  });
  const pages = pager(byId('transactions-pager'), { name: 'transactions', load });
  let items = null;

  async function load(cursor) {
    try {
      if (!await offers('transactions')) return;
      const page = await get(query('transactions', { limit: LIMIT, cursor }));
      items = page.items;
      section.hidden = false;
      link.hidden = false;
      pages.loaded(page.items, page.next_cursor);
      view.show(items);
    } catch (problem) {
      if (items !== null) view.show(items, problem.message);
    }
  }

  let soon = null;
  follow((event) => {
    if (event.type !== 'tx_state') return;
    soon ??= setTimeout(() => {
      soon = null;
      load(pages.cursor());
    }, 300);
  });
  return () => load(pages.cursor());
}
