// @ts-check
import { Guarded } from '../parts/guarded.js';
import { When } from '../parts/when.js';
import { html } from '../vendor/preact.js';

/**
 * Shown when a save finds that the flow was deleted during the edit.
 * @param {{ problem: import('../flows.js').Refused, isBusy: boolean, onCreate: () => void, onBack: () => void }} props
 */
export function DeletedFlow({ problem, isBusy, onCreate, onBack }) {
  const { deleted } = problem.body;
  return html`
    <section class="conflict" aria-labelledby="deleted-title">
      <h2 id="deleted-title">This flow was deleted while you were editing</h2>
      <p class="lead" role="alert">${deleted
        ? html`<b>${deleted.author}</b> deleted it <${When} at=${deleted.at} /> (revision ${deleted.revision}).`
        : 'It no longer exists.'} <b>Your text is not saved yet, and it is not lost.</b></p>
      <ul class="choices">
        <li><${Guarded} class="primary" disabled=${isBusy} onClick=${onCreate}>Bring it back with my text<//>
          <span>Creates the flow again from your text, with the same id and its history.</span></li>
        <li><a class="button" href="#/trash">Leave it deleted</a><span>Opens the trash, where the flow can be restored.</span></li>
        <li><button type="button" disabled=${isBusy} onClick=${onBack}>Back to my text</button><span>Continues editing.</span></li>
      </ul>
    </section>`;
}
