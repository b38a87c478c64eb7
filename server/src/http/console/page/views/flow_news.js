// @ts-check
import { Changes } from '../parts/changes.js';
import { When } from '../parts/when.js';
import { html } from '../vendor/preact.js';

const DID = { create: 'created this flow again', update: 'changed this flow', restore: 'restored an earlier revision of this flow', delete: 'deleted this flow' };

/** The changes by other clients since the page was opened. @param {{ id: string, news: import('./use_flow.js').News[], onDismiss: () => void }} props */
export function News({ id, news, onDismiss }) {
  return html`<div class="news" role="status">
    ${news.map(({ op, revision, author, at, difference }) => html`
      <div class="notice" key=${revision}>
        <p><b>${author}</b> ${DID[/** @type {keyof typeof DID} */ (op)] ?? op} <${When} at=${at} />
          ${op === 'delete'
            ? html`. This page shows its last revision. Restore it from <a href=${`#/flows/${id}/history`}>its history</a> or the <a href="#/trash">trash</a>.`
            : html` (revision ${revision}). This page shows the current flow.`}</p>
        ${difference && html`<${Changes} difference=${difference} />`}
      </div>`)}
    ${news.length > 0 && html`<button type="button" onClick=${onDismiss}>Got it</button>`}
  </div>`;
}
