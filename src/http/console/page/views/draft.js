// @ts-check
// Texts that are not saved yet, kept in this tab: a reload or a wrong click loses nothing.

/** @typedef {{ text: string, revision: number, at: string }} Draft */

const key = (/** @type {string} */ id) => `draft ${id}`;

/** @param {string} id @returns {Draft | undefined} */
export function draftOf(id) {
  try {
    return JSON.parse(sessionStorage.getItem(key(id)) ?? 'null') ?? undefined;
  } catch {
    return undefined;
  }
}

/** @param {string} id @param {string} text @param {number} revision that it began with */
export function keep(id, text, revision) {
  try {
    sessionStorage.setItem(key(id), JSON.stringify({ text, revision, at: new Date().toISOString() }));
  } catch {
    // There is room for some megabytes. The text is still in the page, and leaving it asks.
  }
}

/** @param {string} id */
export const drop = (id) => sessionStorage.removeItem(key(id));
