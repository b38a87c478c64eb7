// @ts-check
import { get, string } from '../json/parse.js';
import { When } from '../parts/when.js';
import { html } from '../vendor/preact.js';

const VIEWS = [['flow', 'Graph', ''], ['edit', 'Edit', '/edit'], ['history', 'History', '/history']];
const DID = { create: 'created', update: 'changed', restore: 'restored', delete: 'deleted', state: 'reported' };

/**
 * The name of a flow, its facts, and links to its views.
 * @param {{ id: string, flow?: import('../json/parse.js').Value, revision?: number, last?: import('../flows.js').Entry, view: string,
 *   isDeleted?: boolean, children?: any }} props
 */
export function Header({ id, flow, revision, last, view, isDeleted, children }) {
  const name = string(get(flow, 'name')) ?? 'Flow';
  const state = string(get(flow, 'gst_state')) ?? string(get(flow, 'state')) ?? 'Null';
  const restarts = get(get(flow, 'properties'), 'auto_restart');
  return html`
    <header class="flow-header">
      <div class="flow-title">
        <h1>${name}</h1>
        ${flow && html`<p class="flow-facts">
          <span class=${`state state-${state}`}>${isDeleted ? 'deleted' : state}</span>
          ${restarts && restarts.text.slice(restarts.start, restarts.end) === 'true' && html`<span>auto-restart</span>`}
          ${revision ? html`<span>revision <b>${revision}</b></span>` : null}
          ${last && html`<span>${DID[/** @type {keyof typeof DID} */ (last.op)] ?? last.op} by <b>${last.author}</b> <${When} at=${last.at} /></span>`}
        </p>`}
        <p class="flow-id"><code>${id}</code></p>
      </div>
      <nav class="tabs" aria-label="Views of this flow">
        ${VIEWS.map(([key, label, part]) => html`
          <a key=${key} href=${`#/flows/${id}${part}`} aria-current=${key === view ? 'page' : undefined}>${label}</a>`)}
      </nav>
      ${children}
    </header>`;
}
