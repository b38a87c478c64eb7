// @ts-check
import { useReadOnly } from '../health.js';
import { html } from '../vendor/preact.js';

/** A button that makes a change. If changes are impossible, it is disabled and shows the reason. @param {any} props */
export function Guarded({ children, disabled, ...rest }) {
  const reason = useReadOnly();
  return html`
    <button type="button" ...${rest} disabled=${disabled || Boolean(reason)} title=${reason || rest.title}>${children}${reason && html`<span class="unseen"> (${reason})</span>`}</button>`;
}
