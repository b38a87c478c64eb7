// @ts-check
// The key and its rights. The key is stored for this tab only, until the tab closes.
import { store } from './store.js';

const KEY = 'strom-key';

/**
 * `isOut`: the server requires a key, and the page has no valid one. `why`: what was wrong with the last key.
 * @typedef {{ isKnown: boolean, isOut: boolean, wantsKey: boolean, name?: string, isReadOnly: boolean, why: string }} Session
 */
export const session = store(/** @type {Session} */ ({ isKnown: false, isOut: false, wantsKey: false, isReadOnly: false, why: '' }));

export const key = () => sessionStorage.getItem(KEY) ?? '';

/** The headers of each request. @returns {Record<string, string>} */
export const credentials = () => (key() ? { 'X-API-Key': key() } : {});

/** @param {string} secret */
async function ask(secret) {
  const answer = await fetch('/api/auth/status', { headers: secret ? { 'X-API-Key': secret } : {}, cache: 'no-store' });
  if (answer.status === 429) throw new Error('too many wrong keys from this address; wait a moment, then try again');
  if (!answer.ok) throw new Error(`the server responded with status ${answer.status}`);
  return answer.json();
}

/** Checks at the start whether the key of this tab is valid. */
export async function look() {
  const status = await ask(key());
  const isOut = status.auth_required && !status.authenticated;
  session.set({ isKnown: true, isOut, wantsKey: status.auth_required, name: status.name, isReadOnly: status.read_only === true });
}

/** Handles a 401 response: the key was removed, or the page has none. */
export function lost() {
  if (session.get().isOut) return;
  session.set({ isKnown: true, isOut: true, wantsKey: true, why: key() ? 'The server no longer accepts this key. Sign in again to return to this page.' : '' });
}

/** Returns what is wrong, or an empty text. @param {string} secret */
export async function signIn(secret) {
  // A header cannot carry other characters.
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(secret)) return 'A key contains only ASCII letters, digits and symbols.';
  try {
    const status = await ask(secret);
    if (!status.authenticated) return 'The server does not know this key.';
    sessionStorage.setItem(KEY, secret);
    session.set({ isKnown: true, isOut: false, wantsKey: true, name: status.name, isReadOnly: status.read_only === true, why: '' });
    return '';
  } catch (error) {
    const message = error instanceof TypeError ? 'the server is unreachable' : /** @type {Error} */ (error).message;
    return `The key could not be checked: ${message}.`;
  }
}

export function signOut() {
  sessionStorage.clear();
  session.set({ isOut: true, name: undefined, isReadOnly: false, why: 'You are signed out.' });
}
