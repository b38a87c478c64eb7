// @ts-check
import { count } from '../parts/count.js';
import { Endless } from '../parts/endless.js';
import { Guarded } from '../parts/guarded.js';
import { When } from '../parts/when.js';
import { html } from '../vendor/preact.js';

/** @typedef {import('../flows.js').Entry} Entry */

const DID = { create: 'created', update: 'changed', restore: 'restored', delete: 'deleted', state: 'reported a state' };

/**
 * @param {{ entries: Entry[], hasMore: boolean, older?: number, newer?: number, isBusy: boolean, isDeleted: boolean,
 *   onOlder: (revision: number) => void, onNewer: (revision: number) => void, onMore: () => void, onRestore: (revision: number) => void }} props
 */
export function Timeline({ entries, hasMore, older, newer, isBusy, isDeleted, onOlder, onNewer, onMore, onRestore }) {
  return html`
    <section class="timeline" aria-labelledby="timeline-title">
      <h2 id="timeline-title">Revisions</h2>
      <p class="hint">Choose two revisions to compare.</p>
      <ol>
        ${entries.map((entry, index) => html`
          <${Row} key=${entry.revision} ...${{ entry, older, newer, onOlder, onNewer }}>
            ${(index > 0 || isDeleted) && entry.op !== 'delete' && html`
              <${Guarded} disabled=${isBusy} onClick=${() => onRestore(entry.revision)}
                aria-label=${`Restore revision ${entry.revision}`}>Restore<//>`}
            ${index === 0 && !isDeleted && html`<span class="now">current</span>`}
          <//>`)}
        ${hasMore && html`<li><${Endless} key=${entries.length} onMore=${onMore} what="revisions" /></li>`}
      </ol>
    </section>`;
}

/** @param {any} props */
function Row({ entry, older, newer, onOlder, onNewer, children }) {
  const { revision, op, at, author, summary } = entry;
  const parts = [count(summary.elements, 'element'), count(summary.blocks, 'block'), count(summary.links, 'link')].join(', ');
  const chosen = revision === older ? 'older' : revision === newer ? 'newer' : '';
  return html`
    <li class=${`revision ${chosen} op-${op}`}>
      <span class="choice">
        <input type="radio" name="older" checked=${revision === older} disabled=${revision >= newer} onChange=${() => onOlder(revision)}
          aria-label=${`Compare from revision ${revision}`} title="Compare from this revision" />
        <input type="radio" name="newer" checked=${revision === newer} disabled=${revision <= older} onChange=${() => onNewer(revision)}
          aria-label=${`Compare to revision ${revision}`} title="Compare to this revision" />
      </span>
      <span class="what">
        <b>Revision ${revision}</b> <span class="op">${DID[/** @type {keyof typeof DID} */ (op)] ?? op}</span> by <b>${author}</b>
        <span class="when"><${When} at=${at} isExact=${true} /></span>
        <span class="sum">${summary.name}: ${parts}</span>
      </span>
      ${children}
    </li>`;
}
