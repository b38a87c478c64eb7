// @ts-check
// Deleted flows, and the way back.
import { begun, subscribe } from '../feed.js';
import { restore, trash } from '../flows.js';
import { leave } from '../notes.js';
import { count } from '../parts/count.js';
import { Endless } from '../parts/endless.js';
import { Guarded } from '../parts/guarded.js';
import { Trouble } from '../parts/problem.js';
import { When } from '../parts/when.js';
import { html, useCallback, useEffect, useState } from '../vendor/preact.js';

/** The server lists all of them; a page that shows all of 10,000 at once would be slow. */
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
      // The record of a deletion has the document as it was then.
      const { revision } = await restore(flow.id, flow.revision, null);
      leave(`“${flow.name}” is back, as revision ${revision}.`);
      location.hash = `#/flows/${flow.id}`;
    } catch (failure) {
      const isThere = /** @type {any} */ (failure).status === 412;
      setTrouble(isThere ? new Error(`somebody has brought “${flow.name}” back already`) : failure);
      await refresh();
    } finally {
      setBusy('');
    }
  };
  return html`
    <section class="trash" aria-labelledby="trash-title">
      <h1 id="trash-title">Trash</h1>
      <p class="hint">Deleted flows stay here as long as the server keeps history.</p>
      <${Trouble} error=${error} doing="Reading the trash" />
      <${Trouble} error=${trouble} doing="Restoring" />
      ${flows === undefined && !error && html`<p role="status">Reading the trash…</p>`}
      ${flows?.length === 0 && html`<p class="empty">Nothing has been deleted.</p>`}
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
