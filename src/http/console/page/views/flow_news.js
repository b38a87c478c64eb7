// @ts-check
import { Changes } from '../parts/changes.js';
import { When } from '../parts/when.js';
import { html } from '../vendor/preact.js';

const DID = { create: 'created this flow again', update: 'changed this flow', restore: 'restored an earlier revision of this flow', delete: 'deleted this flow' };

/** What others did while one was looking. @param {{ id: string, news: import('./use_flow.js').News[], onDismiss: () => void }} props */
export function News({ id, news, onDismiss }) {
  return html`<div class="news" role="status">
    ${news.map(({ op, revision, author, at, difference }) => html`
      <div class="notice" key=${revision}>
        <p><b>${author}</b> ${DID[/** @type {keyof typeof DID} */ (op)] ?? op} <${When} at=${at} />
          ${op === 'delete'
            ? html`. What you see is how it was. It can be restored from <a href=${`#/flows/${id}/history`}>its history</a> or the <a href="#/trash">trash</a>.`
            : html` (revision ${revision}). You see it as it is now.`}</p>
        ${difference && html`<${Changes} difference=${difference} />`}
      </div>`)}
    ${news.length > 0 && html`<button type="button" onClick=${onDismiss}>Got it</button>`}
  </div>`;
}
