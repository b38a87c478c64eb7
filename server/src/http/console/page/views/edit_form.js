// @ts-check
import { withMember } from '../json/edit.js';
import { get, parse, string } from '../json/parse.js';
import { html, useMemo } from '../vendor/preact.js';

/** Fields for the two members that editors change most often. @param {{ text: string, onText: (text: string) => void }} props */
export function EditForm({ text, onText }) {
  const flow = useMemo(() => {
    try {
      return parse(text);
    } catch {
      return undefined;
    }
  }, [text]);
  const name = string(get(flow, 'name'));
  const description = get(get(flow, 'properties'), 'description');
  const canChange = flow?.kind === 'object';
  const put = (/** @type {'name' | 'description'} */ member) => (/** @type {any} */ event) => {
    onText(withMember(text, member, event.currentTarget.value));
  };
  return html`
    <div class="edit-form">
      <label>Name <input type="text" value=${name ?? ''} disabled=${!canChange} onInput=${put('name')} maxlength="255" autocomplete="off" /></label>
      <label>Description <textarea rows="2" value=${string(description) ?? ''} onInput=${put('description')}
        disabled=${!canChange || (description && description.kind !== 'string')}></textarea></label>
      ${!canChange && html`<p class="hint">The text below is not valid JSON. Correct it to edit name and description here.</p>`}
    </div>`;
}
