// @ts-check
// The changes of all flows, followed once for the whole page: by requests that wait, so that no key comes into an address.
//
// A page that nobody sees does not wait. Browsers open six connections to a server for all of their pages together: six pages
// that waited would leave none to load a seventh, or to save with. When it is seen again it goes on where it was.
import { request } from './api.js';
import { session } from './session.js';
import { store } from './store.js';

/** How long the server lets a request wait, in seconds. */
const WAIT = 25;
const LONGEST_PAUSE = 10_000;
/** A request that is not answered by then never will be, in milliseconds: the connection is gone. */
const LOST = (WAIT + 20) * 1_000;

/** @typedef {{ op: string, flow_id?: string, name?: string, revision?: number, at?: string, author?: string, cursor?: string }} Change */

export const feed = store({ isLive: false });

/** @type {Set<(change: Change) => unknown>} */
const followers = new Set();
/** The place behind which to go on. */
let place = '';
let isRunning = false;
/** @type {(() => void)[]} */
let waiting = [];

/**
 * Tells of each change. When changes were missed, `op` is `gone` and there is no flow: whoever follows reads anew.
 * @param {(change: Change) => unknown} follower @returns {() => void} the end of it
 */
export function subscribe(follower) {
  followers.add(follower);
  start();
  return () => void followers.delete(follower);
}

/** Resolves when the place is known: what is read after that misses nothing. It never waits long. */
export function begun() {
  start();
  if (place) return Promise.resolve();
  return Promise.race([
    new Promise((resolve) => setTimeout(resolve, 1_000)),
    new Promise((resolve) => waiting.push(() => resolve(undefined))),
  ]);
}

export function start() {
  if (isRunning) return;
  isRunning = true;
  follow();
}

/** @param {Change} change */
function tell(change) {
  for (const follower of [...followers]) {
    try {
      Promise.resolve(follower(change)).catch(console.error);
    } catch (error) {
      console.error(error);
    }
  }
}

/** @returns {Promise<void>} when somebody sees the page */
const seen = () => new Promise((resolve) => {
  const look = () => {
    if (document.hidden) return;
    document.removeEventListener('visibilitychange', look);
    resolve();
  };
  document.addEventListener('visibilitychange', look);
  look();
});

/** The next page of changes, or nothing when the page was hidden meanwhile. @returns {Promise<Response | undefined>} */
async function next() {
  if (!place) return request('GET', '/api/changes');
  const stop = new AbortController();
  const hide = () => document.hidden && stop.abort();
  const timer = setTimeout(() => stop.abort(), LOST);
  document.addEventListener('visibilitychange', hide);
  try {
    return await request('GET', `/api/changes?limit=1000&wait=${WAIT}&since=${place}`, { signal: stop.signal });
  } catch (error) {
    if (document.hidden) return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', hide);
  }
}

const pause = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function follow() {
  let failures = 0;
  for (;;) {
    if (session.get().isOut) {
      feed.set({ isLive: false });
      await new Promise((resolve) => {
        const stop = session.watch(({ isOut }) => !isOut && (stop(), resolve(undefined)));
      });
    }
    try {
      // The place where it begins is asked for by every page: what it reads after that is not missed.
      if (place) await seen();
      // An answer that has nothing to wait for may be empty because the server stops: the next request shows it.
      const answer = await next();
      if (!answer) continue;
      if (answer.status === 410) {
        place = '';
        await answer.text();
        const anew = await (await request('GET', '/api/changes')).json();
        place = anew.next;
        tell({ op: 'gone' });
        continue;
      }
      if (answer.status === 401) continue;
      if (!answer.ok) throw new Error(`the feed answered ${answer.status}`);
      const page = await answer.json();
      place = page.next;
      failures = 0;
      feed.set({ isLive: true });
      waiting.forEach((resolve) => resolve());
      waiting = [];
      page.changes.forEach(tell);
    } catch {
      feed.set({ isLive: false });
      failures += 1;
      // Not all pages of all people at once.
      await pause(Math.min(LONGEST_PAUSE, 500 * 2 ** Math.min(failures, 5)) * (0.7 + 0.6 * Math.random()));
    }
  }
}
