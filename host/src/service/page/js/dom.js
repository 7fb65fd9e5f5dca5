// Elements and their updates. Text from the service goes in as text nodes only: nothing here, or
// anywhere else on this page, parses HTML.

/** Makes an element. `on` holds listeners, `data` data attributes, the rest are attributes. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === 'data') {
      for (const [key, text] of Object.entries(value)) element.dataset[key] = text;
    } else if (value === true) {
      element.setAttribute(name, '');
    } else {
      element.setAttribute(name, String(value));
    }
  }
  element.append(...flat(children));
  return element;
}

/** What may stand as a child: text, elements, lists of both; nothing for null and undefined. */
function flat(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

export const byId = (id) => document.getElementById(id);

/** Sets the text of an element, if it is another one than before. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const shown = new WeakMap();

/**
 * Fills an element anew only when the data differ from those it was filled from, so that focus,
 * selection and what a screen reader stands on stay where they are.
 */
export function fill(element, data, make) {
  const key = JSON.stringify(data);
  if (shown.get(element) === key) return;
  shown.set(element, key);
  element.replaceChildren(...flat([make(data)]));
}

const lists = new WeakMap();

/**
 * Makes the children of `parent` follow `items`: one view per key, kept while its key is there.
 * `make(item)` answers `{ element, update(item) }`.
 */
export function keyed(parent, items, keyOf, make) {
  const before = lists.get(parent) ?? new Map();
  const after = new Map();
  let next = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    if (after.has(key)) continue;
    const view = before.get(key) ?? make(item);
    before.delete(key);
    after.set(key, view);
    view.update(item);
    if (view.element === next) next = next.nextSibling;
    else parent.insertBefore(view.element, next);
  }
  for (const view of before.values()) view.element.remove();
  lists.set(parent, after);
}

/** Puts the focus where the user was, or close by when that is gone. */
export function refocus(element, fallback) {
  const visible = (it) => it && it.isConnected && !it.hidden && it.getClientRects().length > 0;
  if (visible(element)) return element.focus();
  const sibling = [...(element?.parentElement?.querySelectorAll('button') ?? [])].find(visible);
  (sibling ?? fallback)?.focus();
}
