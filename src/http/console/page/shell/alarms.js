// @ts-check
import { health } from '../health.js';
import { session } from '../session.js';
import { html } from '../vendor/preact.js';

const time = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/** What everybody on the page has to know, under its head. It is said aloud once, when it begins. */
export function Alarms() {
  const { isSilent, isReachable, isReadOnly, faults, reason, asOf, stale } = health.use();
  const { isReadOnly: isKeyReadOnly, name } = session.use();
  return html`
    <div class="alarms" role="status" aria-label="How the server is">
      ${isSilent && html`<p class="notice bad"><b>The server does not answer.</b> What you see may be out of date. The page tries again by itself.</p>`}
      ${!isSilent && !isReachable && html`<p class="notice bad"><b>The storage is away${reason && `: ${reason}`}.</b>
        ${asOf ? ` You see the last known flows, as of ${time.format(new Date(asOf))}${stale === undefined ? '' : ` (${age(stale)} old)`}. ` : ' '}Nothing can be changed until it is back.</p>`}
      ${isReadOnly && html`<p class="notice"><b>This instance only reads.</b> Look at everything here; changes are made on another instance.</p>`}
      ${isKeyReadOnly && !isReadOnly && html`<p class="notice"><b>The key “${name}” only reads.</b> To make changes, sign in with another key.</p>`}
      ${!isSilent && isReachable && faults.map((fault) => html`<p key=${fault} class="notice warn"><b>Somebody should look at this:</b> ${fault}</p>`)}
    </div>`;
}

/** @param {number} seconds */
export function age(seconds) {
  if (seconds < 120) return `${seconds} second${seconds === 1 ? '' : 's'}`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} minutes`;
  return `${Math.round(seconds / 3_600)} hours`;
}
