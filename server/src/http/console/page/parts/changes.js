// @ts-check
import { html } from '../vendor/preact.js';

const SIGN = { added: '+', removed: '−', changed: '~', moved: '→' };

/**
 * The differences, in the words of the server. A change that the graph shows is a link to it.
 * @param {{ difference: import('../flows.js').Difference, none?: string, onShow?: (change: import('../graph/compare.js').Change) => void,
 *   canShow?: (change: import('../graph/compare.js').Change) => boolean }} props
 */
export function Changes({ difference, none = 'No differences in content.', onShow, canShow }) {
  const { changes, more } = difference;
  if (changes.length === 0) return html`<p>${none}</p>`;
  return html`
    <ul class="changes">
      ${changes.map((change, index) => html`
        <li key=${index} class=${`mark-${change.kind}`}>
          <b class="kind">${SIGN[change.kind]} ${change.kind}</b>
          ${onShow && canShow?.(change)
            ? html`<button type="button" class="as-link" title=${`Show in the graph (${change.path})`} onClick=${() => onShow(change)}>${change.words}</button>`
            : html`<span title=${change.path}>${change.words}</span>`}
        </li>`)}
      ${more > 0 && html`<li class="more">and ${more} more, which are not listed</li>`}
    </ul>`;
}
