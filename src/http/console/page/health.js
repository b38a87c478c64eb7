// @ts-check
// How the server and its storage are, for the head of the page, and whether anything can be changed here.
import { credentials, session } from './session.js';
import { store } from './store.js';

/** How often the server is asked, in milliseconds: when all is well, and when it is not. */
const [CALM, WORRIED] = [15_000, 3_000];

/**
 * `stale`: how many seconds ago what is shown was what is stored, while the storage is away.
 * @typedef {{ isKnown: boolean, isSilent: boolean, storage: string, isReachable: boolean, isReadOnly: boolean, faults: string[],
 *   reason: string, since: string, isDegraded: boolean, location: string, asOf?: string, stale?: number }} Health
 */
export const health = store(/** @type {Health} */ ({
  isKnown: false, isSilent: false, storage: '', isReachable: true, isReadOnly: false, faults: [], reason: '', since: '', isDegraded: false, location: '',
}));

let timer = 0;

export async function ask() {
  clearTimeout(timer);
  try {
    const answer = await fetch('/ready', { headers: credentials(), cache: 'no-store' });
    const ready = await answer.json();
    health.set({
      isKnown: true, isSilent: false, storage: ready.storage, isReachable: ready.reachable, isReadOnly: ready.read_only, faults: ready.faults ?? [],
      reason: ready.reason ?? '', since: ready.since, isDegraded: ready.degraded, location: ready.location ?? '',
      asOf: ready.reachable ? undefined : ready.last_known?.as_of, ...(ready.reachable ? { stale: undefined } : {}),
    });
  } catch {
    health.set({ isSilent: true });
  }
  const { isSilent, isReachable } = health.get();
  clearTimeout(timer);
  timer = setTimeout(ask, isSilent || !isReachable ? WORRIED : CALM);
}

/** @param {Response} answer */
export function noticeAnswer(answer) {
  const stale = answer.headers.get('Strom-Stale');
  const { isSilent, isReachable, stale: before } = health.get();
  if (stale !== null) health.set({ stale: Number(stale) });
  const isNews = isSilent || (stale !== null && isReachable) || (stale === null && answer.status === 503 && isReachable) || (before === undefined) !== (stale === null) && stale !== null;
  if (isNews) ask();
}

export function noticeSilence() {
  if (health.get().isSilent) return;
  health.set({ isSilent: true });
  ask();
}

/** Why nothing can be changed here; nothing, when it can. */
export function useReadOnly() {
  const { isReadOnly, isReachable, isSilent } = health.use();
  const { isReadOnly: isKeyReadOnly, name } = session.use();
  if (isReadOnly) return 'This instance of Strom only reads. Changes are made on another one.';
  if (isKeyReadOnly) return `The key “${name}” only reads. Sign in with another key to make changes.`;
  if (isSilent) return 'The server does not answer just now.';
  if (!isReachable) return 'The storage is away. Changes can be made when it is back.';
  return '';
}
