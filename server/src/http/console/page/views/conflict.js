// @ts-check
// A conflict of two edits: both sides in words and side by side, and the choices to resolve it.
import { format } from '../json/format.js';
import { Changes } from '../parts/changes.js';
import { Guarded } from '../parts/guarded.js';
import { When } from '../parts/when.js';
import { html, useEffect, useMemo, useRef } from '../vendor/preact.js';
import { SideBySide } from './side_by_side.js';

/** @typedef {import('../flows.js').Refused} Refused */

/**
 * @param {{ problem: Refused, mine: string, isBusy: boolean, onMerge: () => void, onMine: () => void, onTheirs: () => void, onBack: () => void }} props
 */
export function Conflict({ problem, mine, isBusy, onMerge, onMine, onTheirs, onBack }) {
  const { current, difference = {}, conflicts } = problem.body;
  const theirs = useMemo(() => (problem.current ? format(problem.current) : ''), [problem]);
  const title = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => title.current?.focus(), [problem]);
  const canMerge = difference.base !== undefined && !conflicts;
  return html`
    <section class="conflict" aria-labelledby="conflict-title">
      <h2 id="conflict-title" tabindex="-1" ref=${title}>This flow changed while you were editing</h2>
      <p class="lead"><b>${current.author}</b> saved revision ${current.revision} <${When} at=${current.at} />, while you were editing
        ${difference.base === undefined ? ' an older revision' : ` revision ${difference.base}`}. <b>Your text is not saved yet, and it is not lost.</b></p>
      ${conflicts && html`<${Collisions} conflicts=${conflicts} />`}
      ${difference.base === undefined
        ? html`<h3>Differences from your text to revision ${current.revision}</h3><${Changes} difference=${difference.between ?? { changes: [], more: 0 }} />`
        : html`<div class="sides">
            <div><h3>Their changes</h3><${Changes} difference=${difference.theirs ?? { changes: [], more: 0 }} /></div>
            <div><h3>Your changes</h3><${Changes} difference=${difference.yours ?? { changes: [], more: 0 }} /></div>
          </div>`}
      <ul class="choices">
        ${canMerge && html`<li><${Guarded} class="primary" disabled=${isBusy} onClick=${onMerge}>Merge both<//>
          <span>Saves a flow with both your changes and theirs. Fails if both change the same value.</span></li>`}
        <li><${Guarded} disabled=${isBusy} onClick=${onMine}>Keep mine<//>
          <span>Saves your text over revision ${current.revision}. Their changes stay in the history.</span></li>
        <li><button type="button" disabled=${isBusy} onClick=${onTheirs}>Take theirs</button>
          <span>Continues with revision ${current.revision}. Your text is set aside, and you can bring it back.</span></li>
        <li><button type="button" disabled=${isBusy} onClick=${onBack}>Back to my text</button>
          <span>Continues editing. The next save asks again.</span></li>
      </ul>
      <${SideBySide} left=${mine} right=${theirs} isEqual=${true} leftTitle="Yours" rightTitle=${`Revision ${current.revision}, by ${current.author}`} />
    </section>`;
}

/** The values that prevent a merge. @param {{ conflicts: { list: any[], more: number } }} props */
function Collisions({ conflicts: { list, more } }) {
  const value = (/** @type {string | null} */ text) => (text === null ? html`<i>nothing</i>` : html`<code>${text}</code>`);
  return html`
    <div class="notice bad" role="alert">
      <p><b>The two versions cannot be merged</b>, because both change the same values.</p>
      <div class="scroll" tabindex="0" role="region" aria-label="Conflicting values">
        <table class="collisions">
          <thead><tr><th scope="col">Path</th><th scope="col">Before</th><th scope="col">Yours</th><th scope="col">Theirs</th></tr></thead>
          <tbody>${list.map(({ path, words, base, yours, theirs }) => html`
            <tr key=${path}><th scope="row"><code>${path}</code><br />${words}</th><td>${value(base)}</td><td>${value(yours)}</td><td>${value(theirs)}</td></tr>`)}
          </tbody>
        </table>
      </div>
      ${more > 0 && html`<p>and ${more} more</p>`}
      <p>Keep one of the two, or go back to your text and change it there.</p>
    </div>`;
}
