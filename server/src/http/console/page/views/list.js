// @ts-check
// The list of all flows, with search, filters and export. It shows changes as they happen.
import { fromHash, isFiltered, parameters, toHash } from '../list/filters.js';
import { NewFlow } from '../list/new_flow.js';
import { Rows } from '../list/rows.js';
import { Toolbar } from '../list/toolbar.js';
import { useFlows } from '../list/use_flows.js';
import { Guarded } from '../parts/guarded.js';
import { Trouble } from '../parts/problem.js';
import { exportFlow, exportFlows, size } from '../transfer/download.js';
import { html, useCallback, useEffect, useLayoutEffect, useRef, useState } from '../vendor/preact.js';

const digits = new Intl.NumberFormat('en');

export function ListView() {
  const [filters, setFilters] = useState(() => fromHash(location.hash));
  const [isNew, setNew] = useState(false);
  const [exporting, setExporting] = useState('');
  const [said, say] = useState('');
  const [trouble, setTrouble] = useState(/** @type {any} */ (undefined));
  const place = useRef(/** @type {any} */ (undefined));
  const anchor = useRef(/** @type {{ id: string, top: number } | undefined} */ (undefined));

  useEffect(() => {
    const moved = () => setFilters(fromHash(location.hash));
    addEventListener('hashchange', moved);
    return () => removeEventListener('hashchange', moved);
  }, []);
  const change = useCallback((/** @type {import('../list/filters.js').Filters} */ next) => {
    // A new history entry per letter would make the Back button useless.
    history.replaceState(null, '', toHash(next));
    setFilters(next);
  }, []);

  const seenUpTo = useCallback(() => place.current?.to ?? 0, []);
  // The row at the top of the window stays there. At the top of the list, new rows appear instead.
  const keepPlace = useCallback((/** @type {() => void} */ update) => {
    const { element, row, above } = place.current ?? {};
    const list = current.current;
    const index = element && above > 0 ? Math.ceil(above / row) : -1;
    anchor.current = list?.[index] && { id: list[index].id, top: index * row - above };
    update();
  }, []);
  const { flows, total, error, isBusy, fresh, hasMore, more, load } = useFlows(filters, seenUpTo, keepPlace);
  const current = useRef(flows);
  current.current = flows;
  useLayoutEffect(() => {
    const { id, top } = anchor.current ?? {};
    anchor.current = undefined;
    if (id === undefined || !place.current) return;
    const index = flows?.findIndex((flow) => flow.id === id) ?? -1;
    const { element, row } = place.current;
    if (index >= 0) scrollBy({ top: element.getBoundingClientRect().top + index * row - /** @type {number} */ (top), behavior: 'instant' });
  }, [flows]);

  const exporter = async (/** @type {string} */ what, /** @type {() => Promise<string>} */ run) => {
    setTrouble(undefined);
    say('');
    setExporting(what);
    try {
      say(await run());
    } catch (failure) {
      setTrouble(failure);
    }
    setExporting('');
  };
  const exportAll = (/** @type {boolean} */ isAll) => exporter('Exporting…', async () => {
    const bytes = await exportFlows(isAll ? new URLSearchParams() : parameters(filters, false), (soFar) => setExporting(`Exporting, ${size(soFar)} so far…`));
    return `Exported: ${size(bytes)}.`;
  });
  const filtered = isFiltered(filters);
  const wrongFilter = error?.status === 400 && error.detail.includes('contains') ? `The server rejects this filter: ${error.detail}.` : undefined;
  const words = flows === undefined ? '' : total === undefined ? '' : `${digits.format(total)} flow${total === 1 ? '' : 's'}${filtered ? ' found' : ''}`;
  return html`
    <div class="list-head">
      <h1>Flows</h1>
      <p class="count" role="status" aria-label="Number of flows">${words}</p>
      <div class="actions">
        <${Guarded} class="primary" onClick=${() => setNew(true)}>New flow<//>
        <a class="button" href="#/import">Import…</a>
        <button type="button" disabled=${Boolean(exporting)} onClick=${() => exportAll(true)}>Export all</button>
        ${filtered && html`<button type="button" disabled=${Boolean(exporting) || total === 0} onClick=${() => exportAll(false)}>Export found</button>`}
      </div>
    </div>
    <${Toolbar} filters=${filters} onFilters=${change} refused=${wrongFilter} />
    <p class="said" role="status" aria-label="Export">${exporting || said}</p>
    <${Trouble} error=${trouble} doing="The export" />
    ${error && !wrongFilter && html`<div class="list-error"><${Trouble} error=${error} doing="Loading the list" /><button type="button" onClick=${load}>Try again</button></div>`}
    <div class="list" aria-busy=${isBusy}>
      ${flows === undefined && !error && html`<p class="hint">Loading the flows…</p>`}
      ${flows && flows.length > 0 && html`<${Rows} flows=${flows} total=${total} fresh=${fresh} hasMore=${hasMore} onMore=${more} place=${place}
        onExport=${(/** @type {any} */ flow) => exporter('Exporting…', async () => `Exported as ${await exportFlow(flow)}.`)} />`}
      ${flows && flows.length === 0 && !isBusy && !error && (filtered ? html`
        <div class="empty"><p><b>No flow matches.</b></p><p>Try a shorter part of the name, or fewer filters.</p></div>` : html`
        <div class="empty"><p><b>There are no flows yet.</b></p>
          <p>Create one with “New flow”, or <a href="#/import">import</a> flows: drop a file anywhere on this page.</p></div>`)}
    </div>
    ${isNew && html`<${NewFlow} onDone=${() => setNew(false)} />`}`;
}
