// @ts-check
import { html } from '../vendor/preact.js';

/** An error message, announced to screen readers immediately. @param {{ error: unknown, doing: string }} props */
export function Trouble({ error, doing }) {
  if (!error) return null;
  return html`<p class="notice bad" role="alert"><b>${doing} failed:</b> ${error instanceof Error ? error.message : String(error)}.</p>`;
}

/** @param {unknown} error */
export const isGone = (error) => /** @type {any} */ (error)?.status === 404;
