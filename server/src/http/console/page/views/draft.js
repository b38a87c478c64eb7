// @ts-check
// Keeps unsaved texts in this tab, so that a reload or a wrong click loses nothing.

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

/** @param {string} id @param {string} text @param {number} revision the revision that the edit is based on */
export function keep(id, text, revision) {
  try {
    sessionStorage.setItem(key(id), JSON.stringify({ text, revision, at: new Date().toISOString() }));
  } catch {
    // The storage of the tab is limited to some megabytes. The page still has the text, and asks before it is left.
  }
}

/** @param {string} id */
export const drop = (id) => sessionStorage.removeItem(key(id));
