// @ts-check
// A flow as text. What is saved is exactly what stands there, under the revision that it began with.
import { get, string } from '../json/parse.js';
import { Confirm } from '../parts/confirm.js';
import { Guarded } from '../parts/guarded.js';
import { Trouble } from '../parts/problem.js';
import { When } from '../parts/when.js';
import { html } from '../vendor/preact.js';
import { Conflict } from './conflict.js';
import { EditForm } from './edit_form.js';
import { Editor } from './editor.js';
import { Header } from './flow_header.js';
import { GoneMeanwhile } from './gone_meanwhile.js';
import { useLeaving } from './leaving.js';
import { useEdit } from './use_edit.js';

/** Another flow is another edit. @param {{ id: string }} props */
export const EditView = ({ id }) => html`<${Edit} key=${id} id=${id} />`;

/** @param {{ id: string }} props */
function Edit({ id }) {
  const edit = useEdit(id);
  const leaving = useLeaving(edit.hasUnsaved);
  const { base, text, mark, problem, isBusy, error } = edit;
  if (!base) {
    return html`<${Header} id=${id} view="edit" />
      ${error ? html`<${Trouble} error=${error} doing="Reading the flow" />` : html`<p role="status">Reading the flow…</p>`}`;
  }
  const saved = async (/** @type {Promise<string | undefined>} */ attempt) => {
    if (await attempt) leaving.go(`#/flows/${id}`);
  };
  const save = () => saved(edit.save());
  return html`
    <${Header} id=${id} flow=${base.flow} revision=${base.revision} view="edit" />
    ${edit.restored && html`
      <p class="notice" role="status">This is your unsaved text of <${When} at=${edit.restored} isExact=${true} />, begun with revision ${base.revision}.
        <button type="button" onClick=${edit.discard}>Discard it</button></p>`}
    ${edit.aside && html`
      <p class="notice" role="status">You go on with theirs (revision ${base.revision}). Your text was put aside.
        <button type="button" onClick=${edit.bringBack}>Bring it back</button></p>`}
    ${problem?.status === 412 && html`
      <${Conflict} problem=${problem} mine=${text} isBusy=${isBusy} onMerge=${() => saved(edit.merge())} onMine=${() => saved(edit.keepMine())}
        onTheirs=${edit.takeTheirs} onBack=${edit.back} />`}
    ${problem?.status === 404 && html`
      <${GoneMeanwhile} problem=${problem} isBusy=${isBusy} onCreate=${() => saved(edit.createAgain())} onBack=${edit.back} />`}
    ${!problem && edit.elsewhere && html`
      <p class="notice" role="status"><b>${edit.elsewhere.author}</b> ${edit.elsewhere.op === 'delete' ? 'deleted this flow' : `saved revision ${edit.elsewhere.revision}`}
        <${When} at=${edit.elsewhere.at} />. Your text is untouched; when you save, you will see both.</p>`}
    <form class="edit" hidden=${Boolean(problem)} onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); save(); }}>
      <${EditForm} text=${text} onText=${edit.setText} />
      <label for="document-text">Document (JSON)</label>
      <p id="document-error" class=${`editor-error ${mark ? 'notice bad' : ''}`} role="alert">${mark && html`<b>${edit.place}</b> ${mark.words}`}</p>
      <${Editor} id="document-text" describedBy="document-error" text=${text} onText=${edit.setText} mark=${mark} onSave=${save} />
      <${Trouble} error=${error} doing="Saving" />
      <div class="actions">
        <span role="status">${edit.hasUnsaved ? 'Not saved yet' : 'Nothing changed'}</span>
        <a class="button" href=${`#/flows/${id}`}>Cancel</a>
        <${Guarded} type="submit" class="primary" disabled=${isBusy || !edit.hasUnsaved}>Save<//>
      </div>
    </form>
    ${leaving.wanted !== undefined && html`
      <${Confirm} title="Leave without saving?" yes="Leave" no="Stay" onYes=${leaving.leave} onNo=${leaving.stay}>
        <p>Your changes of “${string(get(base.flow, 'name')) ?? id}” are not saved. They are kept in this tab until you close it: open Edit again to go on with them.</p>
      <//>`}`;
}
