// What is wrong, on top: providers that are not healthy with their reason, stale chains, holes, and
// this page's own gaps.

import { byId, fill, h, keyed, setText } from './dom.js';
import { age, eachSecond, now, until } from './clock.js';
import { count, plural } from './format.js';
import { mark } from './parts.js';
import { release } from './actions.js';
import { mayChange, on, state } from './store.js';
import { brokeOff, endOf, errorOf, isForced, levelOf, providerKey, reasonOf, stalenessOf, unknownOf, untilOf, wasAsked } from './words.js';

const SHOWN = 6;
const RANK = { bad: 0, warn: 1, off: 2 };

let everything = false;
let spoken = null;

export function start() {
  on(['providers', 'chains', 'holes', 'live', 'session', 'scans'], show);
  // A chain becomes stale by time alone.
  eachSecond(show);
  byId('attention-more').addEventListener('click', () => {
    everything = !everything;
    show();
  });
}

function items() {
  const found = [];
  const { live, failed } = state;
  if (live.word === 'lost') {
    found.push({ key: 'live', level: 'warn', name: 'This page', place: '', word: 'not live', text: 'The event stream is broken; what is shown may be old. Connecting again.', since: new Date(live.since).toISOString() });
  }
  for (const [part, { message, at }] of failed) {
    found.push({ key: `load ${part}`, level: 'warn', name: 'This page', place: '', word: 'incomplete', text: `Cannot load the ${part}: ${message}`, since: new Date(at).toISOString() });
  }
  for (const provider of state.providers ?? []) {
    const forced = isForced(provider);
    if (provider.status === 'healthy' && !forced) continue;
    found.push({
      key: `provider ${providerKey(provider)}`,
      level: provider.status === 'healthy' ? 'off' : levelOf(provider),
      name: provider.provider,
      place: provider.type === 'scan' ? provider.chain : `${provider.chain}, ${provider.type}`,
      word: provider.status === 'healthy' ? 'forced' : provider.state === null ? 'not loaded' : provider.status,
      text: reasonOf(provider),
      error: provider.status === 'healthy' ? null : errorOf(provider),
      until: untilOf(provider),
      end: endOf(provider),
      ends: provider.state !== null && (provider.state !== 'closed' || untilOf(provider) !== null),
      provider: forced ? provider : null,
      href: '#providers',
    });
  }
  for (const chain of state.chains ?? []) {
    const stale = stalenessOf(chain, now());
    const unknown = unknownOf(chain.last_scan) ?? 0;
    const holes = unknown > 0 ? `${plural(unknown, 'balance')} unknown after its last pass` : null;
    if (stale || holes) {
      found.push({ key: `chain ${chain.name}`, level: brokeOff(chain) ? 'bad' : 'warn', name: chain.name, place: '', word: stale?.[0] ?? 'unknown', text: [stale?.[1], holes].filter(Boolean).join('; '), href: holes ? '#holes' : '#chains' });
    }
  }
  return found.sort((a, b) => RANK[a.level] - RANK[b.level]);
}

function show() {
  const found = items();
  const known = state.providers !== null && state.chains !== null;
  const section = byId('attention');
  const worst = found.some((it) => it.level === 'bad') ? 'bad' : found.some((it) => it.level === 'warn') ? 'warn' : known ? 'good' : 'off';
  section.dataset.level = worst;
  setText(byId('attention-title'), title(found, known));
  keyed(byId('attention-list'), everything ? found : found.slice(0, SHOWN), (it) => it.key, line);
  const more = byId('attention-more');
  more.hidden = found.length <= SHOWN;
  setText(more, everything ? 'Show fewer' : `Show all ${found.length}`);
  speak(found, known);
}

function title(found, known) {
  const pressing = found.filter((it) => it.level !== 'off').length;
  if (pressing > 0) return pressing === 1 ? '1 thing needs attention' : `${pressing} things need attention`;
  if (!known) return 'Loading…';
  if (state.chains.length === 0) return 'No chain is configured';
  const asked = state.providers.filter(wasAsked).length;
  const idle = state.providers.length - asked;
  const healthy = `${plural(asked, 'provider')} healthy${idle > 0 ? `, ${count(idle)} not asked yet` : ''}`;
  return found.length > 0 ? `Nothing is wrong; ${plural(found.length, 'breaker is', 'breakers are')} forced` : `All is well: ${healthy}, nothing stale, nothing unknown`;
}

function line(first) {
  const who = h('span', { class: 'who' });
  const why = h('span', { class: 'why' });
  const when = h('span', { class: 'when' });
  const button = h('button', { type: 'button', hidden: true }, 'Release');
  let item = first;
  button.addEventListener('click', () => release(item.provider, button));
  const element = h('li', {}, who, why, when, button);
  return {
    element,
    update(latest) {
      item = latest;
      element.dataset.level = item.level;
      fill(who, [item.level, item.name, item.place, item.word, item.href], () => [
        mark(item.level),
        h(item.href ? 'a' : 'span', { href: item.href, class: 'name' }, item.name),
        item.place ? h('span', { class: 'place' }, item.place) : null,
        h('span', { class: 'word' }, item.word),
      ]);
      fill(why, [item.text, item.error], () => [
        item.text,
        item.error ? h('span', { class: 'error' }, item.error) : null,
      ]);
      fill(when, [item.until, item.since, item.end, item.ends], () => moment(item));
      button.hidden = !(item.provider && mayChange());
      if (item.provider) button.setAttribute('aria-label', `Release ${item.name} on ${item.place}`);
    },
  };
}

function moment(item) {
  if (item.since) return ['since ', age(item.since)];
  if (!item.end || !item.ends) return null;
  if (!item.until) return item.end.none;
  return until(item.until, item.end.lead, item.end.passed);
}

/** Says what came and what went, and nothing of what only counts down. */
function speak(found, known) {
  const texts = new Map(found.map((it) => [`${it.key} ${it.word}`, `${it.name} ${it.place} ${it.word}: ${it.text}`]));
  if (spoken !== null) {
    const news = [...texts].filter(([key]) => !spoken.has(key)).map(([, text]) => text);
    const gone = [...spoken].filter(([key]) => !texts.has(key)).map(([key]) => key);
    if (news.length > 0) byId('spoken').textContent = news.join('. ');
    else if (gone.length > 0) byId('spoken').textContent = title(found, known);
  }
  if (known) spoken = texts;
}
