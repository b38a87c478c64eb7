// @ts-check
import { withMember } from '../json/edit.js';
import { get, parse, string } from '../json/parse.js';
import { html, useMemo } from '../vendor/preact.js';

/** The two members that people change most, without looking for them in the text. @param {{ text: string, onText: (text: string) => void }} props */
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
      ${!canChange && html`<p class="hint">Name and description can be changed here as soon as the text below is JSON again.</p>`}
    </div>`;
}
