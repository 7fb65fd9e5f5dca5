// Small pieces that several sections show.

import { h } from './dom.js';
import { age } from './clock.js';
import { amount } from './format.js';
import { levelOf, stateWord, wasAsked } from './words.js';

/** A mark whose shape says what its colour says; the word beside it says it again. */
export const mark = (level) => h('span', { class: 'mark', data: { level }, 'aria-hidden': 'true' });

/** A provider's status and state, as a mark and words. */
export function standing(provider) {
  const same = provider.status === 'healthy' && provider.state === 'closed';
  return h('span', { class: 'standing', data: { level: levelOf(provider) } },
    mark(levelOf(provider)),
    h('span', {}, wasAsked(provider) ? provider.status ?? 'unknown' : 'not asked yet'),
    same ? null : h('span', { class: 'state' }, stateWord(provider.state)));
}

/** An amount in the asset's unit; what is no amount is unknown. The raw string is in the title. */
export function money(text, decimals, symbol) {
  const parts = amount(text, decimals);
  if (parts === null) return h('span', { class: 'unknown' }, 'unknown');
  return h('span', { class: 'amount', title: `${text} of the smallest unit` },
    h('span', { class: 'whole' }, parts.whole),
    h('span', { class: 'fraction' }, parts.fraction),
    symbol ? h('span', { class: 'symbol' }, ` ${symbol}`) : null,
    parts.unit ? h('span', { class: 'none' }, ` ${parts.unit}`) : null);
}

/** Buttons that stay where they are: `[label(item), text, there(item), act(item, button)]` each. */
export function buttons(first, ...kinds) {
  let item = first;
  const made = kinds.map(([label, text, there, act]) => {
    const button = h('button', { type: 'button' }, text);
    button.addEventListener('click', () => act(item, button));
    return { button, label, there };
  });
  return {
    nodes: made.map(({ button }) => button),
    update(latest) {
      item = latest;
      for (const { button, label, there } of made) {
        button.hidden = !there(item);
        button.setAttribute('aria-label', label(item));
      }
    },
  };
}

/** The value that was last known, never as if it were today's. */
export function lastGood(last, decimals, symbol) {
  if (!last) return h('span', { class: 'none' }, 'no earlier value');
  return h('span', { class: 'last' }, 'last good ', money(last.amount, decimals, symbol), ', ', age(last.observed_at));
}

/** An address, whole for copying, breaking anywhere on a narrow screen. */
export const address = (text) => h('span', { class: 'address' }, text ?? '');

/** Names and values. */
export function facts(pairs) {
  return h('dl', { class: 'facts' }, pairs
    .filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}
