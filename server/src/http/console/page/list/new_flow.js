// @ts-check
import { ApiError, send } from '../api.js';
import { html, useEffect, useRef, useState } from '../vendor/preact.js';

/** Returns a random UUID. `crypto.randomUUID` exists only on HTTPS pages. */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Asks for the name of a new flow. @param {{ onDone: () => void }} props */
export function NewFlow({ onDone }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const [error, setError] = useState('');
  const [isBusy, setBusy] = useState(false);
  // The id of the flow that the last request creates, and the text of that flow.
  const attempt = useRef({ id: '', text: '' });
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
      const flow = { name: name.trim(), ...(description.trim() ? { properties: { description: description.trim() } } : {}) };
      const text = JSON.stringify(flow);
      // A repeated request has the same id, so that it cannot create a second flow.
      if (attempt.current.text !== text) attempt.current = { id: randomId(), text };
      const { id } = attempt.current;
      await send('PUT', `/api/flows/${id}`, { id, ...flow }, { 'If-None-Match': '*' }).catch((failure) => {
        // 412: an earlier request with this id created the flow, but its response was lost.
        if (!(failure instanceof ApiError && failure.status === 412)) throw failure;
      });
      location.hash = `#/flows/${id}`;
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
