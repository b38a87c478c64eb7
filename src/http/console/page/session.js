// @ts-check
// The key, and what the server says of it. It is kept for this tab alone, and goes with it.
import { store } from './store.js';

const KEY = 'strom-key';

/**
 * `isOut`: a key is wanted, and there is none that is right. `why` tells people what was wrong with the last one.
 * @typedef {{ isKnown: boolean, isOut: boolean, wantsKey: boolean, name?: string, isReadOnly: boolean, why: string }} Session
 */
export const session = store(/** @type {Session} */ ({ isKnown: false, isOut: false, wantsKey: false, isReadOnly: false, why: '' }));

export const key = () => sessionStorage.getItem(KEY) ?? '';

/** What goes with each request. @returns {Record<string, string>} */
export const credentials = () => (key() ? { 'X-API-Key': key() } : {});

/** @param {string} secret */
async function ask(secret) {
  const answer = await fetch('/api/auth/status', { headers: secret ? { 'X-API-Key': secret } : {}, cache: 'no-store' });
  if (answer.status === 429) throw new Error('too many keys were tried from this address; wait a moment, then try again');
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return answer.json();
}

/** Whether this tab may go on; at the start, and when the server has said that it may not. */
export async function look() {
  const status = await ask(key());
  const isOut = status.auth_required && !status.authenticated;
  session.set({ isKnown: true, isOut, wantsKey: status.auth_required, name: status.name, isReadOnly: status.read_only === true });
}

/** The server has answered 401: the key was withdrawn, or there was none. */
export function lost() {
  if (session.get().isOut) return;
  session.set({ isKnown: true, isOut: true, wantsKey: true, why: key() ? 'The server does not accept this key any more. Sign in again; you come back to where you were.' : '' });
}

/** Says what is wrong, or nothing. @param {string} secret */
export async function signIn(secret) {
  // Anything else cannot be sent in a header.
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(secret)) return 'A key consists of letters, digits and signs of ASCII.';
  try {
    const status = await ask(secret);
    if (!status.authenticated) return 'The server does not know this key.';
    sessionStorage.setItem(KEY, secret);
    session.set({ isKnown: true, isOut: false, wantsKey: true, name: status.name, isReadOnly: status.read_only === true, why: '' });
    return '';
  } catch (error) {
    const message = error instanceof TypeError ? 'the server does not answer' : /** @type {Error} */ (error).message;
    return `The key could not be checked: ${message}.`;
  }
}

export function signOut() {
  sessionStorage.clear();
  session.set({ isOut: true, name: undefined, isReadOnly: false, why: 'You are signed out.' });
}
