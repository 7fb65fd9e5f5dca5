// Scans: what runs, and how the last ones ended.

import { byId, h } from './dom.js';
import { age } from './clock.js';
import { count, duration, plural } from './format.js';
import { cancel } from './actions.js';
import { progress } from './chains.js';
import { buttons, mark } from './parts.js';
import { mayChange, on, state } from './store.js';
import { table } from './table.js';
import { scanWord, unknownOf } from './words.js';

export function start() {
  const view = table(byId('scans-body'), {
    caption: 'The last scans, the newest first',
    empty: 'No scan was made yet.',
    keyOf: (scan) => scan.id,
    columns: [
      { label: 'Chain', data: (it) => [it.chain, it.kind], show: ([chain, kind]) => [h('span', { class: 'name' }, chain), h('span', { class: 'sub' }, kind === 'spot' ? 'some addresses' : 'whole set')] },
      { label: 'Status', kind: 'pass', data: statusOf, show: status },
      { label: 'Known', kind: 'number pair', data: (it) => it.known, show: count },
      { label: 'Unknown', kind: 'number pair second', data: unknownOf, show: count },
      { label: 'Invalid', kind: 'number pair', data: (it) => it.invalid, show: count },
      { label: 'Funded', kind: 'number pair second', data: (it) => it.funded, show: count },
      { label: 'Heights', kind: 'number wide', data: (it) => [it.height_min, it.height_max, it.known], show: heights },
      { label: 'Took', kind: 'number', data: (it) => it.elapsed_ms ?? null, show: duration },
      { label: 'Started', data: (it) => it.started_at, show: (at) => age(at) },
      { label: 'Action', hidden: true, kind: 'actions', live: action },
    ],
  });
  on(['scans', 'session'], () => view.show(state.scans, state.scans === null ? state.failed.get('scans')?.message ?? null : null));
}

function statusOf(scan) {
  return scan.status === 'running' ? { running: scan } : { status: scan.status, message: scan.message, unknown: scan.unknown };
}

function status({ running, status: word, message, unknown }) {
  if (running) return progress(running);
  const level = word === 'complete' ? (unknown > 0 ? 'warn' : 'good') : word === 'cancelled' ? 'off' : 'bad';
  return [
    h('span', {}, mark(level), scanWord(word), unknown > 0 && word === 'complete' ? `, ${plural(unknown, 'cell')} unknown` : ''),
    message ? h('span', { class: 'sub' }, message) : null,
  ];
}

function heights([low, high, known]) {
  if (known === 0) return h('span', { class: 'none' }, 'none read');
  if (typeof low !== 'number') return h('span', { class: 'none' }, 'unknown');
  return low === high ? count(low) : `${count(low)} – ${count(high)}`;
}

function action(scan) {
  return buttons(scan,
    [(it) => `Cancel the scan of ${it.chain}`, 'Cancel', (it) => mayChange() && it.status === 'running', cancel]);
}
