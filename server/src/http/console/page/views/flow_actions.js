// @ts-check
import { create, remove } from '../flows.js';
import { format } from '../json/format.js';
import { get, parse, string } from '../json/parse.js';
import { leave } from '../notes.js';
import { Confirm } from '../parts/confirm.js';
import { Guarded } from '../parts/guarded.js';
import { Trouble } from '../parts/problem.js';
import { html, useState } from '../vendor/preact.js';

/** @typedef {import('../json/parse.js').Value} Value */

/** @param {{ id: string, flow: Value, revision: number, onChanged: (revision: number) => void }} props */
export function Actions({ id, flow, revision, onChanged }) {
  const [asks, setAsks] = useState(false);
  const [trouble, setTrouble] = useState(/** @type {{ error: unknown, doing: string } | undefined} */ (undefined));
  const name = string(get(flow, 'name')) ?? id;

  const duplicate = async () => {
    try {
      const made = await create(copyOf(flow, `${name} (copy)`));
      leave(`This is the copy of “${name}”. Changes to one do not affect the other.`);
      location.hash = `#/flows/${string(get(made.flow, 'id'))}`;
    } catch (error) {
      setTrouble({ error, doing: 'Duplicating' });
    }
  };
  const del = async () => {
    setAsks(false);
    try {
      await remove(id, revision);
      location.hash = '#/trash';
    } catch (error) {
      const isStale = /** @type {any} */ (error).status === 412;
      setTrouble({ error: isStale ? new Error('the flow changed in the meantime, so it was not deleted; review it and try again') : error, doing: 'Deleting' });
      onChanged(0);
    }
  };
  return html`
    <div class="actions">
      <${Guarded} onClick=${duplicate}>Duplicate<//>
      <${Guarded} class="danger" onClick=${() => setAsks(true)}>Delete…<//>
    </div>
    ${trouble && html`<${Trouble} ...${trouble} />`}
    ${asks && html`
      <${Confirm} title=${`Delete “${name}”?`} yes="Delete" isDanger=${true} onYes=${del} onNo=${() => setAsks(false)}>
        <p>The flow moves to the trash. It can be restored from there as it is now (revision ${revision}).</p>
      <//>`}`;
}

/** Returns the document without its id and with another name. The server assigns a new id. @param {Value} flow @param {string} name */
function copyOf(flow, name) {
  const members = (flow.members ?? []).filter((member) => member.name !== 'id').map((member) =>
    member.name === 'name' ? { ...member, value: parse(JSON.stringify(name)) } : member);
  return format({ ...flow, members });
}
