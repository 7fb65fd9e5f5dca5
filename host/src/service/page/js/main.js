// The page: signed in or not, then its sections and the event stream.

import { del, get, onSignedOut, post } from './api.js';
import * as attention from './attention.js';
import * as balances from './balances.js';
import * as chains from './chains.js';
import * as clock from './clock.js';
import { byId, setText } from './dom.js';
import * as events from './events.js';
import * as holes from './holes.js';
import * as live from './live.js';
import * as providers from './providers.js';
import * as scans from './scans.js';
import { changed, loadAll, on, state } from './store.js';
import * as transactions from './transactions.js';

const LIVE = {
  off: 'Not connected',
  connecting: 'Connecting…',
  live: 'Live',
  lost: 'Reconnecting…',
};

let loaders = null;

function showLive() {
  const element = byId('live');
  element.dataset.live = state.live.word;
  setText(element, LIVE[state.live.word]);
}

function showSession() {
  const { session } = state;
  byId('sign-out').hidden = !session?.token_required;
  const role = byId('role');
  role.hidden = session?.role !== 'read';
  setText(role, session?.role === 'read' ? 'may look only' : '');
}

async function begin() {
  try {
    state.session = await get('session');
  } catch (problem) {
    if (problem.status === 401) return askToken();
    // Without an answer the sections say what is missing; nobody may change anything.
    state.session = null;
  }
  byId('login').hidden = true;
  byId('board').hidden = false;
  byId('nav').hidden = false;
  loaders ??= [
    attention.start(), chains.start(), providers.start(), scans.start(),
    balances.start(), holes.start(), transactions.start(), events.start(),
  ].filter(Boolean);
  changed('session');
  live.open();
  loadAll();
  for (const load of loaders) load();
}

function askToken() {
  live.close();
  state.session = null;
  changed('session');
  byId('board').hidden = true;
  byId('nav').hidden = true;
  byId('login').hidden = false;
  byId('token').focus();
}

byId('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  const token = byId('token');
  const problem = byId('login-error');
  problem.textContent = '';
  try {
    await post('session', { token: token.value });
    token.value = '';
    await begin();
  } catch (reason) {
    problem.textContent = reason.message;
    token.select();
  }
});

byId('sign-out').addEventListener('click', async () => {
  try {
    await del('session');
  } finally {
    // Nothing of what was seen stays on the screen of whoever comes next.
    location.reload();
  }
});

on(['live'], showLive);
on(['session'], showSession);
on(['signed-out'], askToken);
onSignedOut(() => changed('signed-out'));
clock.start();
begin();
