// @ts-check
import { html, useLayoutEffect, useRef } from '../vendor/preact.js';

/**
 * A question before something is done. Escape and the first button mean no.
 * @param {{ title: string, yes: string, no?: string, isDanger?: boolean, onYes: () => void, onNo: () => void, children?: any }} props
 */
export function Confirm({ title, yes, no = 'Cancel', isDanger, onYes, onNo, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  // At once: a key that is pressed right after the click is for the question already.
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return html`
    <dialog class="confirm" ref=${dialog} aria-labelledby="confirm-title" onCancel=${(/** @type {Event} */ event) => { event.preventDefault(); onNo(); }}>
      <h2 id="confirm-title">${title}</h2>
      ${children}
      <div class="actions">
        <button type="button" onClick=${onNo}>${no}</button>
        <button type="button" class=${isDanger ? 'danger' : 'primary'} onClick=${onYes}>${yes}</button>
      </div>
    </dialog>`;
}
