// @ts-check
import { html } from '../vendor/preact.js';

const UNITS = /** @type {const} */ ([['day', 86_400], ['hour', 3_600], ['minute', 60]]);
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const exact = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/** `5 minutes ago`; after a week, the date. @param {string} time */
export function ago(time) {
  const seconds = (Date.parse(time) - Date.now()) / 1000;
  if (Math.abs(seconds) > 7 * 86_400) return exact.format(new Date(time));
  for (const [unit, length] of UNITS) if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
  return 'just now';
}

/** A relative time, with the exact time as a tooltip. @param {{ at: string, isExact?: boolean }} props */
export function When({ at, isExact }) {
  const whole = exact.format(new Date(at));
  return html`<time datetime=${at} title=${whole}>${isExact ? whole : ago(at)}</time>`;
}
