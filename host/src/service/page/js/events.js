// Events: what happened, the newest first, as far back as the service keeps it.

import { byId, h } from './dom.js';
import { age } from './clock.js';
import { amountText, count, duration, plain } from './format.js';
import { mark } from './parts.js';
import { loadOlder, on, state, wantEvents } from './store.js';
import { table } from './table.js';
import { causeWord, stateWord } from './words.js';

const KINDS = {
  all: null,
  providers: ['provider_state'],
  scans: ['scan_started', 'scan_token_error', 'scan_error', 'scan_complete'],
  balances: ['balance_changed'],
};

export function start() {
  const view = table(byId('events-body'), {
    caption: 'What happened, the newest first',
    empty: 'Nothing of this kind has happened, as far back as it is kept.',
    keyOf: (it) => it.id,
    columns: [
      { label: 'When', data: (it) => it.at, show: (at) => age(at) },
      { label: 'Chain', data: (it) => it.data.chain ?? null, show: (chain) => h('span', { class: 'name' }, chain ?? '') },
      { label: 'What', kind: 'what', data: (it) => [it.type, it.data], show: what },
      { label: 'Number', kind: 'number', data: (it) => it.id, show: (id) => h('span', { class: 'none' }, id) },
    ],
  });
  const older = byId('events-older');
  const problem = byId('events-problem');
  on(['events', 'chains'], () => {
    const failed = state.events === null ? state.failed.get('events')?.message ?? null : null;
    view.show(state.events, failed);
    older.hidden = state.older === null;
  });
  older.addEventListener('click', async () => {
    problem.textContent = '';
    older.disabled = true;
    try {
      await loadOlder();
    } catch (reason) {
      problem.textContent = reason.message;
    }
    older.disabled = false;
  });
  byId('events-kind').addEventListener('change', (event) => wantEvents(KINDS[event.target.value]));
}

function what([type, data]) {
  const [level, title, text] = tell(type, data);
  return [mark(level), h('span', { class: 'title' }, title), text ? h('span', { class: 'text' }, ` ${text}`) : null];
}

function tell(type, data) {
  switch (type) {
    case 'scan_started':
      return ['off', 'Scan started', `${count(data.cells)} cells`];
    case 'scan_complete':
      return [data.unknown > 0 ? 'warn' : 'good', 'Scan complete', `${count(data.known)} known, ${count(data.unknown)} unknown, ${count(data.invalid)} invalid, in ${duration(data.elapsed_ms)}`];
    case 'scan_error':
      return [data.reason === 'cancelled' ? 'off' : 'bad', `Scan ${plain(data.reason)}`, data.message];
    case 'scan_token_error':
      return ['warn', `Asset ${data.token}`, data.error?.message ?? data.error];
    case 'balance_changed':
      return ['off', `${data.asset} changed`, changedText(data)];
    case 'provider_state':
      return [gateLevel(data.to), data.provider, `${stateWord(data.from)} → ${stateWord(data.to)}: ${causeWord(data.why)}${data.type && data.type !== 'scan' ? ` (${data.type})` : ''}`];
    case 'tx_state':
      return ['off', 'Transaction', `${data.txid}: ${plain(data.from ?? 'new')} → ${plain(data.to)}${data.cause ? `, ${plain(data.cause)}` : ''}`];
    default:
      return ['off', plain(type), Object.entries(data).filter(([key]) => key !== 'chain').map(([key, value]) => `${plain(key)} ${typeof value === 'object' ? JSON.stringify(value) : value}`).join(', ')];
  }
}

function gateLevel(to) {
  if (['open', 'held', 'forced_open', 'quarantined'].includes(to)) return 'bad';
  return to === 'closed' ? 'good' : 'warn';
}

function changedText(data) {
  const assets = state.chains?.find((chain) => chain.name === data.chain)?.assets ?? [];
  const decimals = assets.find((it) => it.symbol === data.asset)?.decimals ?? null;
  return `${amountText(data.previous, decimals)} → ${amountText(data.amount, decimals)} at ${data.address}`;
}
