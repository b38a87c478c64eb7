// @ts-check
import { html } from '../vendor/preact.js';

const SIGN = { added: '+', removed: '−', changed: '~', moved: '→' };

/**
 * What differs, in the server's words. Those that are in the picture can be shown there.
 * @param {{ difference: import('../flows.js').Difference, none?: string, onShow?: (change: import('../graph/compare.js').Change) => void,
 *   canShow?: (change: import('../graph/compare.js').Change) => boolean }} props
 */
export function Changes({ difference, none = 'Nothing that people write differs.', onShow, canShow }) {
  const { changes, more } = difference;
  if (changes.length === 0) return html`<p>${none}</p>`;
  return html`
    <ul class="changes">
      ${changes.map((change, index) => html`
        <li key=${index} class=${`mark-${change.kind}`}>
          <b class="kind">${SIGN[change.kind]} ${change.kind}</b>
          ${onShow && canShow?.(change)
            ? html`<button type="button" class="as-link" title=${`Show it in the graph (${change.path})`} onClick=${() => onShow(change)}>${change.words}</button>`
            : html`<span title=${change.path}>${change.words}</span>`}
        </li>`)}
      ${more > 0 && html`<li class="more">and ${more} more, which are not listed</li>`}
    </ul>`;
}
