// @ts-check
// The status of the server and its storage, for the head of the page, and whether the page can make changes.
import { credentials, session } from './session.js';
import { store } from './store.js';

/** The poll intervals in milliseconds: of a healthy server, and of an unreachable server or storage. */
const [CALM, WORRIED] = [15_000, 3_000];

/**
 * `stale`: the age in seconds of the flows that the server returns while the storage is unreachable.
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

/** Names the storage as unreachable. @param {string} storage */
export const unreachable = (storage) => (storage === 'json' ? 'JSON file unavailable' : 'Database unreachable');

/** Returns why the page cannot make changes, or an empty text if it can. */
export function useReadOnly() {
  const { isReadOnly, isReachable, isSilent, storage } = health.use();
  const { isReadOnly: isKeyReadOnly, name } = session.use();
  if (isReadOnly) return 'This instance is read-only. Make changes on another instance.';
  if (isKeyReadOnly) return `The key “${name}” is read-only. Sign in with another key to make changes.`;
  if (isSilent) return 'The server is unreachable. Changes are disabled.';
  if (!isReachable) return `${unreachable(storage)}. Changes are disabled.`;
  return '';
}
