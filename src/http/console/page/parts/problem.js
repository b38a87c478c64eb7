// @ts-check
import { html } from '../vendor/preact.js';

/** What went wrong, said at once. @param {{ error: unknown, doing: string }} props */
export function Trouble({ error, doing }) {
  if (!error) return null;
  return html`<p class="notice bad" role="alert"><b>${doing} did not work:</b> ${error instanceof Error ? error.message : String(error)}.</p>`;
}

/** @param {unknown} error */
export const isGone = (error) => /** @type {any} */ (error)?.status === 404;
