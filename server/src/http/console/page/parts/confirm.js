// @ts-check
import { html, useLayoutEffect, useRef } from '../vendor/preact.js';

/**
 * A question before an action. Escape and the first button cancel the action.
 * @param {{ title: string, yes: string, no?: string, isDanger?: boolean, onYes: () => void, onNo: () => void, children?: any }} props
 */
export function Confirm({ title, yes, no = 'Cancel', isDanger, onYes, onNo, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  // A layout effect opens the dialog before the next key press, which is meant for the dialog.
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
