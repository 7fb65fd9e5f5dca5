// The one dialog: it asks before anything is changed, and shows what the service said to it.

import { byId, h, refocus } from './dom.js';

/**
 * Asks for confirmation. `fields` are elements of the form; `run(form)` does it and may throw a
 * problem, which is shown while the dialog stays. `opener` gets the focus back.
 */
export function ask({ title, text, fields = [], confirm, danger = false, run, opener }) {
  const dialog = byId('dialog');
  const problem = h('p', { class: 'problem', role: 'alert' });
  const go = h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, confirm);
  const back = h('button', { type: 'button', class: 'quiet', on: { click: () => dialog.close() } }, 'Leave it');
  const form = h('form', { method: 'dialog' },
    h('h2', { id: 'dialog-title' }, title),
    text ? h('p', {}, text) : null,
    fields,
    problem,
    h('div', { class: 'line end' }, back, go));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    go.disabled = true;
    problem.textContent = '';
    try {
      await run(form);
      dialog.close();
    } catch (reason) {
      const more = (reason.errors ?? []).map((it) => it.detail).filter(Boolean);
      problem.textContent = [reason.message, ...more].join(' ');
      go.disabled = false;
    }
  });
  dialog.addEventListener('close', function closed() {
    // The event comes later than the focus: whoever is quick has opened the next one by then.
    if (dialog.open) return;
    dialog.removeEventListener('close', closed);
    dialog.replaceChildren();
    // What was done may hide the button that asked for it, in the frame after this one.
    requestAnimationFrame(() => requestAnimationFrame(() => refocus(opener, byId('attention-title'))));
  });
  dialog.replaceChildren(form);
  dialog.showModal();
}

/** A choice of one of several, as radio buttons. */
export function choice(name, legend, options, chosen) {
  return h('fieldset', {}, h('legend', {}, legend), options.map(([value, label, hint]) => h('label', { class: 'option' },
    h('input', { type: 'radio', name, value, checked: value === chosen, required: true }),
    h('span', {}, label, hint ? h('span', { class: 'sub' }, hint) : null))));
}

export function text(name, label, hint) {
  return h('label', { class: 'field' }, label, h('input', { name, required: true, maxlength: 200, autocomplete: 'off' }), hint ? h('span', { class: 'sub' }, hint) : null);
}

export function select(name, label, options, chosen) {
  return h('label', { class: 'field' }, label, h('select', { name }, options.map(([value, text]) => h('option', { value, selected: value === chosen }, text))));
}
