// @ts-check
import { isSame, sideBySide } from '../json/lines.js';
import { html, useMemo } from '../vendor/preact.js';

/** The number of lines shown around a difference. */
const AROUND = 3;

/**
 * Two texts side by side, reduced to the differences and the lines around them. `isEqual`: neither text is older.
 * @param {{ left: string, right: string, leftTitle: string, rightTitle: string, isEqual?: boolean }} props
 */
export function SideBySide({ left, right, leftTitle, rightTitle, isEqual }) {
  const rows = useMemo(() => shown(sideBySide(left, right)), [left, right]);
  return html`
    <div class=${`scroll side-by-side ${isEqual ? 'equal' : ''}`} tabindex="0" role="region" aria-label="Both documents side by side">
      <table>
        <colgroup><col class="number" /><col /><col class="number" /><col /></colgroup>
        <thead><tr><th scope="col" colspan="2">${leftTitle}</th><th scope="col" colspan="2">${rightTitle}</th></tr></thead>
        <tbody>
          ${rows.length === 0 && html`<tr><td colspan="4">Both texts are the same.</td></tr>`}
          ${rows.map((row, index) => row === undefined
            ? html`<tr key=${index} class="gap"><td colspan="4">⋯</td></tr>`
            : html`<tr key=${index} class=${isSame(row) ? 'same' : 'differs'}>
                <td class="number">${row.leftNumber}</td><td class=${isSame(row) ? '' : row.left === undefined ? 'void' : 'mine'}>${row.left}</td>
                <td class="number">${row.rightNumber}</td><td class=${isSame(row) ? '' : row.right === undefined ? 'void' : 'theirs'}>${row.right}</td>
              </tr>`)}
        </tbody>
      </table>
    </div>`;
}

/** @param {import('../json/lines.js').Row[]} rows @returns {(import('../json/lines.js').Row | undefined)[]} with `undefined` for omitted rows */
function shown(rows) {
  const near = new Set();
  rows.forEach((row, index) => {
    if (!isSame(row)) for (let i = index - AROUND; i <= index + AROUND; i += 1) near.add(i);
  });
  /** @type {(import('../json/lines.js').Row | undefined)[]} */
  const kept = [];
  rows.forEach((row, index) => {
    if (near.has(index)) kept.push(row);
    else if (kept.length > 0 && kept.at(-1) !== undefined) kept.push(undefined);
  });
  if (kept.at(-1) === undefined) kept.pop();
  return kept;
}
