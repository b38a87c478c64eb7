// @ts-check
import { html, useEffect, useState } from '../vendor/preact.js';
import { wrongJson } from './filters.js';

const EXAMPLES = [
  ['Clock from PTP', '{"properties":{"clock_type":"ptp"}}'],
  ['With an SRT source', '{"elements":[{"element_type":"srtsrc"}]}'],
  ['With a WHEP output', '{"blocks":[{"block_definition_id":"builtin.whep_output"}]}'],
  ['PTP domain 0', '{"properties":{"ptp_domain":0}}'],
];

/**
 * A filter by any member: JSON that the flows must contain.
 * @param {{ value: string, onValue: (value: string) => void, refused?: string }} props `refused`: the error of the server
 */
export function AnyField({ value, onValue, refused }) {
  const [text, setText] = useState(value);
  const [isOpen, setOpen] = useState(Boolean(value));
  useEffect(() => setText(value), [value]);
  const wrong = wrongJson(text) || refused || '';
  const set = (/** @type {string} */ next) => {
    setText(next);
    if (!wrongJson(next)) onValue(next);
  };
  return html`
    <details class="any-field" open=${isOpen} onToggle=${(/** @type {any} */ event) => setOpen(event.currentTarget.open)}>
      <summary>Filter by any field${value && html` <span class="badge">on</span>`}</summary>
      <label for="contains">Flows that contain this JSON</label>
      <textarea id="contains" rows="2" spellcheck="false" autocapitalize="off" value=${text} aria-invalid=${wrong ? 'true' : undefined}
        aria-describedby="contains-hint contains-error" onInput=${(/** @type {any} */ event) => set(event.currentTarget.value)}></textarea>
      <p id="contains-error" class="field-error" role="alert">${wrong}</p>
      <p id="contains-hint" class="hint">Enter part of a flow, at any depth. The list shows the flows that contain it. Examples:</p>
      <p class="actions">
        ${EXAMPLES.map(([label, example]) => html`<button key=${label} type="button" title=${example} onClick=${() => set(example)}>${label}</button>`)}
        ${text && html`<button type="button" class="quiet" onClick=${() => set('')}>Clear</button>`}
      </p>
    </details>`;
}
