// The service's API. Paths are relative to the page, so that it works below any base path.

import { learn } from './clock.js';

const BASE = 'api/v1/';

/** What the service, or the way to it, said instead of an answer. */
export class Problem extends Error {
  constructor(status, code, message, errors = []) {
    super(message);
    this.status = status;
    this.code = code;
    this.errors = errors;
  }
}

let signedOut = () => {};

/** Whom to tell when an answer says that a token is needed. */
export function onSignedOut(callback) {
  signedOut = callback;
}

async function call(method, path, body) {
  const options = { method, headers: { accept: 'application/json' }, credentials: 'same-origin' };
  if (body !== undefined) {
    options.headers['content-type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(BASE + path, options);
  } catch {
    throw new Problem(0, 'unreachable', 'The service does not answer. Is it running, and is the network there?');
  }
  learn(response);
  const text = response.status === 204 ? '' : await response.text();
  let data = null;
  try {
    data = text === '' ? null : JSON.parse(text);
  } catch {
    // Whatever stands in between may answer with a page of its own; the status says enough.
  }
  if (response.ok) return data;
  const message = data?.detail ?? data?.title ?? `The service answered ${response.status} to ${method} ${path}.`;
  if (response.status === 401 && path !== 'session') signedOut();
  throw new Problem(response.status, data?.code ?? null, message, data?.errors ?? []);
}

/** A path with the parameters that have a value. */
export function query(path, parameters) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== '') search.set(name, value);
  }
  const text = search.toString();
  return text === '' ? path : `${path}?${text}`;
}

export const get = (path) => call('GET', path);
export const post = (path, body) => call('POST', path, body ?? {});
export const del = (path) => call('DELETE', path);

/** All items of a list, page by page, at most `most` of them; `more` says that there are others. */
export async function all(path, parameters = {}, most = 5000) {
  const items = [];
  let cursor = null;
  do {
    const page = await get(query(path, { ...parameters, limit: Math.min(1000, most), cursor }));
    items.push(...page.items);
    cursor = page.next_cursor ?? null;
  } while (cursor !== null && items.length < most);
  return { items, more: cursor !== null };
}

/** A path segment of the API. */
export const segment = encodeURIComponent;

/** The event stream. */
export const stream = () => new EventSource(`${BASE}events`);
