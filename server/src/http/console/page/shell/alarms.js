// @ts-check
import { health, unreachable } from '../health.js';
import { session } from '../session.js';
import { html } from '../vendor/preact.js';

const time = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/** Warnings that concern the whole page, below its head. Screen readers announce each once. */
export function Alarms() {
  const { isSilent, isReachable, isReadOnly, storage, faults, reason, asOf, stale } = health.use();
  const { isReadOnly: isKeyReadOnly, name } = session.use();
  return html`
    <div class="alarms" role="status" aria-label="Server status">
      ${isSilent && html`<p class="notice bad"><b>Server unreachable.</b> This page may be out of date. Retrying automatically.</p>`}
      ${!isSilent && !isReachable && html`<p class="notice bad"><b>${unreachable(storage)}${reason && `: ${reason}`}.</b>
        ${asOf ? ` Showing flows as of ${time.format(new Date(asOf))}${stale === undefined ? '' : ` (${age(stale)} ago)`}. ` : ' '}Changes are disabled.</p>`}
      ${isReadOnly && html`<p class="notice"><b>This instance is read-only.</b> Make changes on another instance.</p>`}
      ${isKeyReadOnly && !isReadOnly && html`<p class="notice"><b>The key “${name}” is read-only.</b> To make changes, sign in with another key.</p>`}
      ${!isSilent && isReachable && faults.map((fault) => html`<p key=${fault} class="notice warn"><b>Needs attention:</b> ${fault}</p>`)}
    </div>`;
}

/** @param {number} seconds */
export function age(seconds) {
  if (seconds < 120) return `${seconds} second${seconds === 1 ? '' : 's'}`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} minutes`;
  return `${Math.round(seconds / 3_600)} hours`;
}
