// @ts-check
import { send } from '../api.js';
import { html, useEffect, useRef, useState } from '../vendor/preact.js';

/** Asks for the name of a new flow. @param {{ onDone: () => void }} props */
export function NewFlow({ onDone }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const [error, setError] = useState('');
  const [isBusy, setBusy] = useState(false);
  // Sent twice, by a wobbly network, it makes one flow.
  const once = useRef([...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join(''));
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    element?.querySelector('input')?.focus();
    return () => element?.close();
  }, []);
  const create = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!name.trim()) return setError('A flow needs a name.');
    setBusy(true);
    try {
      const flow = { name: name.trim(), ...(description.trim() ? { description: description.trim() } : {}) };
      const { body } = await send('POST', '/api/flows', flow, { 'Idempotency-Key': once.current + name.length + description.length });
      location.hash = `#/flows/${body.flow.id}`;
    } catch (failure) {
      setError(`The flow was not created: ${/** @type {Error} */ (failure).message}.`);
      setBusy(false);
    }
  };
  return html`
    <dialog ref=${dialog} aria-labelledby="new-flow-title" onCancel=${(/** @type {Event} */ event) => { event.preventDefault(); onDone(); }}>
      <form onSubmit=${create} novalidate>
        <h2 id="new-flow-title">New flow</h2>
        <label for="new-name">Name</label>
        <input id="new-name" class="wide" value=${name} autocomplete="off" required aria-invalid=${error ? 'true' : undefined} aria-describedby="new-error"
          onInput=${(/** @type {any} */ event) => setName(event.currentTarget.value)} />
        <label for="new-description">Description <span class="hint">(optional)</span></label>
        <input id="new-description" class="wide" value=${description} autocomplete="off" onInput=${(/** @type {any} */ event) => setDescription(event.currentTarget.value)} />
        <p id="new-error" class="field-error" role="alert">${error}</p>
        <div class="actions">
          <button type="button" onClick=${onDone}>Cancel</button>
          <button type="submit" class="primary" disabled=${isBusy}>${isBusy ? 'Creating…' : 'Create'}</button>
        </div>
      </form>
    </dialog>`;
}
