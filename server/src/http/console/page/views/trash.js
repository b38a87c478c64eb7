// @ts-check
// Deleted flows, with buttons to restore them.
import { begun, subscribe } from '../feed.js';
import { restore, trash } from '../flows.js';
import { leave } from '../notes.js';
import { count } from '../parts/count.js';
import { Endless } from '../parts/endless.js';
import { Guarded } from '../parts/guarded.js';
import { Trouble } from '../parts/problem.js';
import { When } from '../parts/when.js';
import { html, useCallback, useEffect, useState } from '../vendor/preact.js';

/** The number of rows per step. The server lists all deleted flows; showing 10,000 rows at once would be slow. */
const PAGE = 50;

export function TrashView() {
  const [flows, setFlows] = useState(/** @type {import('../flows.js').Deleted[] | undefined} */ (undefined));
  const [shown, setShown] = useState(PAGE);
  const [error, setError] = useState(/** @type {unknown} */ (undefined));
  const [trouble, setTrouble] = useState(/** @type {unknown} */ (undefined));
  const [busy, setBusy] = useState('');
  const refresh = useCallback(() => trash().then((list) => {
    setFlows(list);
    setError(undefined);
  }, setError), []);
  useEffect(() => {
    begun().then(refresh);
    return subscribe((/** @type {any} */ change) => ['delete', 'restore', 'create', 'gone'].includes(change.op) && refresh());
  }, [refresh]);

  const back = async (/** @type {import('../flows.js').Deleted} */ flow) => {
    setBusy(flow.id);
    setTrouble(undefined);
    try {
      // The record of the deletion contains the last document.
      const { revision } = await restore(flow.id, flow.revision, null);
      leave(`“${flow.name}” was restored as revision ${revision}.`);
      location.hash = `#/flows/${flow.id}`;
    } catch (failure) {
      const isThere = /** @type {any} */ (failure).status === 412;
      setTrouble(isThere ? new Error(`“${flow.name}” was already restored`) : failure);
      await refresh();
    } finally {
      setBusy('');
    }
  };
  return html`
    <section class="trash" aria-labelledby="trash-title">
      <h1 id="trash-title">Trash</h1>
      <p class="hint">Deleted flows stay here as long as the server retains their history.</p>
      <${Trouble} error=${error} doing="Loading the trash" />
      <${Trouble} error=${trouble} doing="Restoring" />
      ${flows === undefined && !error && html`<p role="status">Loading the trash…</p>`}
      ${flows?.length === 0 && html`<p class="empty">The trash is empty.</p>`}
      ${flows && flows.length > 0 && html`
        <ul class="trash-list">
          ${flows.slice(0, shown).map((flow) => html`<${Row} key=${flow.id} flow=${flow} isBusy=${busy === flow.id} onRestore=${() => back(flow)} />`)}
        </ul>`}
      ${flows && flows.length > shown && html`<${Endless} key=${shown} onMore=${() => setShown((rows) => rows + PAGE)} what="deleted flows" />`}
    </section>`;
}

/** @param {{ flow: import('../flows.js').Deleted, isBusy: boolean, onRestore: () => void }} props */
function Row({ flow, isBusy, onRestore }) {
  const { id, name, author, deleted_at: at, elements, blocks, links } = flow;
  return html`
    <li>
      <span class="what"><b>${name}</b> <span class="when">deleted by <b>${author}</b> <${When} at=${at} isExact=${true} /></span>
        <span class="sum">${count(elements, 'element')}, ${count(blocks, 'block')}, ${count(links, 'link')}</span></span>
      <a class="button" href=${`#/flows/${id}/history`} aria-label=${`History of ${name}`}>History</a>
      <${Guarded} class="primary" disabled=${isBusy} onClick=${onRestore} aria-label=${`Restore ${name}`}>Restore<//>
    </li>`;
}
