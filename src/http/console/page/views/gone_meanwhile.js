// @ts-check
import { Guarded } from '../parts/guarded.js';
import { When } from '../parts/when.js';
import { html } from '../vendor/preact.js';

/**
 * Somebody has deleted the flow that is being edited.
 * @param {{ problem: import('../flows.js').Refused, isBusy: boolean, onCreate: () => void, onBack: () => void }} props
 */
export function GoneMeanwhile({ problem, isBusy, onCreate, onBack }) {
  const { deleted } = problem.body;
  return html`
    <section class="conflict" aria-labelledby="gone-title">
      <h2 id="gone-title">This flow was deleted meanwhile</h2>
      <p class="lead" role="alert">${deleted
        ? html`<b>${deleted.author}</b> deleted it <${When} at=${deleted.at} /> (revision ${deleted.revision}).`
        : 'It is not there any more.'} <b>Your text has not been saved, and is not lost.</b></p>
      <ul class="choices">
        <li><${Guarded} class="primary" disabled=${isBusy} onClick=${onCreate}>Bring it back with my text<//>
          <span>The flow is there again as you have it, under the same id, with its history.</span></li>
        <li><a class="button" href="#/trash">Leave it deleted</a><span>Goes to the trash, where it can be restored as it was.</span></li>
        <li><button type="button" disabled=${isBusy} onClick=${onBack}>Back to my text</button><span>Goes on editing.</span></li>
      </ul>
    </section>`;
}
