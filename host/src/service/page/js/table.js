// Tables that follow lists, row by row, and become cards on a narrow screen.

import { fill, h, keyed } from './dom.js';

/**
 * A table in `parent`. A column is `{ label, kind, data(item), show(data, item) }`: a cell is made anew
 * when its data change and stays as it is otherwise. A column with `live(item)`, which answers
 * `{ nodes, update(item) }`, keeps its elements as long as the row, and so their focus. `detail(item)`
 * adds a part that a button of the first column opens. The roles are named because cards are no table to the browser.
 */
export function table(parent, { caption, columns, keyOf, detail, empty }) {
  const note = h('p', { class: 'empty' });
  const head = h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map((column) => h('th', {
    scope: 'col', role: 'columnheader', class: column.kind,
  }, column.hidden ? h('span', { class: 'unseen' }, column.label) : column.label))));
  const body = h('tbody', { role: 'rowgroup' });
  const element = h('table', { role: 'table' }, h('caption', { class: 'unseen' }, caption), head);
  if (!detail) element.append(body);
  const groups = detail ? element : body;
  parent.replaceChildren(note, element);

  function row(item) {
    const cells = columns.map((column, index) => h(index === 0 ? 'th' : 'td', {
      class: column.kind, role: index === 0 ? 'rowheader' : 'cell', scope: index === 0 ? 'row' : null,
      data: { label: column.hidden ? '' : column.label },
    }, h('div')));
    const line = h('tr', { role: 'row' }, cells);
    const more = detail ? opened(columns.length, detail) : null;
    const lives = columns.map((column, index) => {
      const live = column.live?.(item);
      if (live) cells[index].firstChild.append(...live.nodes);
      return live;
    });
    const group = detail ? h('tbody', { role: 'rowgroup' }, line, more.element) : line;
    return {
      element: group,
      update(item) {
        columns.forEach((column, index) => {
          if (lives[index]) return lives[index].update(item);
          fill(cells[index].firstChild, column.data(item), (data) => [
            index === 0 && more ? more.button(item) : null,
            column.show(data, item),
          ]);
        });
        more?.update(item);
      },
    };
  }

  return {
    /** Shows the items; null is what could not be loaded yet. `nothing` is said of an empty list in place of `empty`. */
    show(items, problem = null, nothing = null) {
      const text = problem ?? (items === null ? 'Loading…' : items.length === 0 ? nothing ?? empty : null);
      note.hidden = text === null;
      note.textContent = text ?? '';
      note.classList.toggle('problem', problem !== null);
      element.hidden = items === null || items.length === 0;
      if (items !== null) {
        const list = groups === element ? [{ head: true }, ...items] : items;
        keyed(groups, list, (item) => (item.head ? '' : keyOf(item)), (item) => (item.head ? fixed(element, head) : row(item)));
      }
    },
  };
}

/** The caption and the head, which stay where they are. */
function fixed(element, head) {
  element.prepend(element.querySelector('caption'));
  return { element: head, update() {} };
}

function opened(columns, detail) {
  const cell = h('td', { colspan: columns, role: 'cell' });
  const element = h('tr', { role: 'row', class: 'detail', hidden: true }, cell);
  let latest = null;
  let toggle = null;
  return {
    element,
    button(item) {
      toggle = h('button', {
        type: 'button', class: 'fold', 'aria-expanded': String(!element.hidden), 'aria-label': `More about ${item.provider ?? item.name}`,
        on: {
          click: () => {
            element.hidden = !element.hidden;
            toggle.setAttribute('aria-expanded', String(!element.hidden));
            if (!element.hidden) detail(cell, latest);
          },
        },
      });
      return toggle;
    },
    update(item) {
      latest = item;
      if (!element.hidden) detail(cell, item);
    },
  };
}

/** Buttons to the page before and after, over cursors that only lead forward. */
export function pager(parent, { load, name }) {
  let stack = [null];
  let next = null;
  const back = h('button', { type: 'button', class: 'quiet', on: { click: () => go(-1) } }, 'Previous');
  const ahead = h('button', { type: 'button', class: 'quiet', on: { click: () => go(1) } }, 'Next');
  const where = h('span', { role: 'status', class: 'none' });
  parent.replaceChildren(back, where, ahead);

  function go(step) {
    stack = step > 0 ? [...stack, next] : stack.slice(0, -1);
    load(stack.at(-1));
  }

  return {
    cursor: () => stack.at(-1),
    first() {
      stack = [null];
      next = null;
    },
    /** Tells what the page that was loaded holds. */
    loaded(items, cursor) {
      next = cursor ?? null;
      back.disabled = stack.length === 1;
      ahead.disabled = next === null;
      parent.hidden = stack.length === 1 && next === null;
      where.textContent = `Page ${stack.length}: ${items.length} ${name}`;
    },
  };
}
