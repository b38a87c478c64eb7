// @ts-check
// Edits a flow as text. Saves exactly this text, with the revision that the edit is based on as a precondition.
import { get, string } from '../json/parse.js';
import { Confirm } from '../parts/confirm.js';
import { Guarded } from '../parts/guarded.js';
import { Trouble } from '../parts/problem.js';
import { When } from '../parts/when.js';
import { html } from '../vendor/preact.js';
import { Conflict } from './conflict.js';
import { DeletedFlow } from './deleted_flow.js';
import { EditForm } from './edit_form.js';
import { Editor } from './editor.js';
import { Header } from './flow_header.js';
import { useLeaving } from './leaving.js';
import { useEdit } from './use_edit.js';

/** The key starts a new edit for another flow. @param {{ id: string }} props */
export const EditView = ({ id }) => html`<${Edit} key=${id} id=${id} />`;

/** @param {{ id: string }} props */
function Edit({ id }) {
  const edit = useEdit(id);
  const leaving = useLeaving(edit.hasUnsaved);
  const { base, text, mark, problem, isBusy, error } = edit;
  if (!base) {
    return html`<${Header} id=${id} view="edit" />
      ${error ? html`<${Trouble} error=${error} doing="Loading the flow" />` : html`<p role="status">Loading the flow…</p>`}`;
  }
  const saved = async (/** @type {Promise<string | undefined>} */ attempt) => {
    if (await attempt) leaving.go(`#/flows/${id}`);
  };
  const save = () => saved(edit.save());
  return html`
    <${Header} id=${id} flow=${base.flow} revision=${base.revision} view="edit" />
    ${edit.restored && html`
      <p class="notice" role="status">This is your unsaved text from <${When} at=${edit.restored} isExact=${true} />, based on revision ${base.revision}.
        <button type="button" onClick=${edit.discard}>Discard it</button></p>`}
    ${edit.aside && html`
      <p class="notice" role="status">You are editing revision ${base.revision}. Your text was set aside.
        <button type="button" onClick=${edit.bringBack}>Bring it back</button></p>`}
    ${problem?.status === 412 && html`
      <${Conflict} problem=${problem} mine=${text} isBusy=${isBusy} onMerge=${() => saved(edit.merge())} onMine=${() => saved(edit.keepMine())}
        onTheirs=${edit.takeTheirs} onBack=${edit.back} />`}
    ${problem?.status === 404 && html`
      <${DeletedFlow} problem=${problem} isBusy=${isBusy} onCreate=${() => saved(edit.createAgain())} onBack=${edit.back} />`}
    ${!problem && edit.elsewhere && html`
      <p class="notice" role="status"><b>${edit.elsewhere.author}</b> ${edit.elsewhere.op === 'delete' ? 'deleted this flow' : `saved revision ${edit.elsewhere.revision}`}
        <${When} at=${edit.elsewhere.at} />. Your text is unchanged. When you save, you see both versions.</p>`}
    <form class="edit" hidden=${Boolean(problem)} onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); save(); }}>
      <${EditForm} text=${text} onText=${edit.setText} />
      <label for="document-text">Document (JSON)</label>
      <p id="document-error" class=${`editor-error ${mark ? 'notice bad' : ''}`} role="alert">${mark && html`<b>${edit.place}</b> ${mark.words}`}</p>
      <${Editor} id="document-text" describedBy="document-error" text=${text} onText=${edit.setText} mark=${mark} onSave=${save} />
      <${Trouble} error=${error} doing="Saving" />
      <div class="actions">
        <span role="status">${edit.hasUnsaved ? 'Not saved yet' : 'No changes'}</span>
        <a class="button" href=${`#/flows/${id}`}>Cancel</a>
        <${Guarded} type="submit" class="primary" disabled=${isBusy || !edit.hasUnsaved}>Save<//>
      </div>
    </form>
    ${leaving.wanted !== undefined && html`
      <${Confirm} title="Leave without saving?" yes="Leave" no="Stay" onYes=${leaving.leave} onNo=${leaving.stay}>
        <p>Your changes to “${string(get(base.flow, 'name')) ?? id}” are not saved. This tab keeps them until you close it. Open Edit again to continue.</p>
      <//>`}`;
}
