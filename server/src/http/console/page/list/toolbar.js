// @ts-check
import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { AnyField } from './any_field.js';
import { ALL, isFiltered, SORTS, STATES } from './filters.js';

/** The pause after the last key press until the search starts, in milliseconds. */
const PAUSE = 180;

/** @param {{ filters: import('./filters.js').Filters, onFilters: (filters: import('./filters.js').Filters) => void, refused?: string }} props */
export function Toolbar({ filters, onFilters, refused }) {
  const [name, setName] = useState(filters.name);
  const timer = useRef(0);
  const newest = useRef(filters);
  newest.current = filters;
  useEffect(() => setName(filters.name), [filters.name]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const set = (/** @type {Partial<import('./filters.js').Filters>} */ part) => onFilters({ ...newest.current, ...part });
  const typed = (/** @type {string} */ text) => {
    setName(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => set({ name: text }), PAUSE);
  };
  const choice = (/** @type {'state' | 'auto_restart' | 'sort'} */ what, /** @type {string} */ label, /** @type {string[][]} */ options) => html`
    <p class="choice-of">
      <label for=${what}>${label}</label>
      <select id=${what} value=${filters[what]} onChange=${(/** @type {any} */ event) => set({ [what]: event.currentTarget.value })}>
        ${options.map(([value, words]) => html`<option key=${value} value=${value} selected=${value === filters[what]}>${words}</option>`)}
      </select>
    </p>`;
  return html`
    <search class="toolbar" role="search" aria-label="Flows">
      <p class="by-name">
        <label for="search">Search by name</label>
        <input id="search" type="search" autocomplete="off" spellcheck="false" placeholder="Part of the name" value=${name}
          onInput=${(/** @type {any} */ event) => typed(event.currentTarget.value)} />
      </p>
      ${choice('state', 'State', [['', 'Any'], ...STATES.map((state) => [state, state])])}
      ${choice('auto_restart', 'Auto-restart', [['', 'Any'], ['true', 'Yes'], ['false', 'No']])}
      ${choice('sort', 'Order', SORTS)}
      ${isFiltered(filters) && html`<button type="button" class="quiet clear" onClick=${() => { clearTimeout(timer.current); setName(''); set({ ...ALL, sort: newest.current.sort }); }}>Clear filters</button>`}
      <${AnyField} value=${filters.contains} onValue=${(/** @type {string} */ contains) => set({ contains })} refused=${refused} />
    </search>`;
}
