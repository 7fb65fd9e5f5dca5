// The service's time, and texts that follow it: ages grow and countdowns run without any request.

import { h, setText } from './dom.js';
import { duration, utc } from './format.js';

// How far this machine's clock is behind the service's, from the Date header of its answers.
let ahead = 0;

/** The service's time, in milliseconds since 1970. */
export function now() {
  return Date.now() + ahead;
}

/** Takes the service's time from an answer. The header counts whole seconds, so less is not told. */
export function learn(response) {
  const at = Date.parse(response.headers.get('date') ?? '');
  if (Number.isNaN(at)) return;
  const measured = at + 500 - Date.now();
  ahead = Math.abs(measured) < 1500 ? 0 : measured;
}

/** How long ago, ticking. Null is said to be unknown, or as `none` says. */
export function age(iso, none = 'unknown') {
  return ticking(iso, 'age', none);
}

/** `lead` and how long until then, ticking; `passed` is what is said when it is over. */
export function until(iso, lead, passed) {
  return ticking(iso, 'until', 'unknown', lead, passed);
}

function ticking(iso, kind, none, lead, passed) {
  if (iso === null || iso === undefined || Number.isNaN(Date.parse(iso))) {
    return h('span', { class: 'none' }, none);
  }
  const element = h('time', { datetime: iso, title: utc(iso), data: { tick: kind } });
  if (passed) Object.assign(element.dataset, { lead, passed });
  tick(element);
  return element;
}

function tick(element) {
  const at = Date.parse(element.getAttribute('datetime'));
  const left = at - now();
  const { tick: kind, lead, passed } = element.dataset;
  if (kind === 'age') setText(element, left > -1000 ? 'just now' : `${duration(-left)} ago`);
  else setText(element, left > 0 ? `${lead} in ${duration(Math.max(1000, left))}` : passed);
}

const followers = new Set();

/** Calls back once a second, for what is judged by the time and not only shown by it. */
export function eachSecond(callback) {
  followers.add(callback);
}

export function start() {
  setInterval(() => {
    for (const element of document.querySelectorAll('time[data-tick]')) tick(element);
    for (const callback of followers) callback();
  }, 1000);
}
