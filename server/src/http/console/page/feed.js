// @ts-check
// Reads the change feed once for the whole page. It uses long polling: an event stream would need the key in the URL.
//
// A hidden page does not poll. A browser opens six connections to one server, shared by all tabs. Six waiting tabs would leave
// no connection to load a seventh tab or to save. A page that becomes visible again continues at its cursor.
import { request } from './api.js';
import { session } from './session.js';
import { store } from './store.js';

/** The time that the server holds a request without changes, in seconds. */
const WAIT = 25;
const LONGEST_PAUSE = 10_000;
/** After this time without a response, the connection is broken, in milliseconds. */
const LOST = (WAIT + 20) * 1_000;

/** @typedef {{ op: string, flow_id?: string, name?: string, revision?: number, at?: string, author?: string, cursor?: string }} Change */

export const feed = store({ isLive: false });

/** @type {Set<(change: Change) => unknown>} */
const followers = new Set();
/** The position up to which the feed has been read. */
let cursor = '';
let isRunning = false;
/** @type {(() => void)[]} */
let waiting = [];

/**
 * Calls the follower for each change. If changes were missed, it receives `op: 'gone'` without a flow and must reload.
 * @param {(change: Change) => unknown} follower @returns {() => void} ends the subscription
 */
export function subscribe(follower) {
  followers.add(follower);
  start();
  return () => void followers.delete(follower);
}

/** Resolves when the cursor is known. Data that is read afterwards misses no change. Resolves after a second at the latest. */
export function begun() {
  start();
  if (cursor) return Promise.resolve();
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
function notify(change) {
  for (const follower of [...followers]) {
    try {
      Promise.resolve(follower(change)).catch(console.error);
    } catch (error) {
      console.error(error);
    }
  }
}

/** Resolves when the page is visible. @returns {Promise<void>} */
const visible = () => new Promise((resolve) => {
  const look = () => {
    if (document.hidden) return;
    document.removeEventListener('visibilitychange', look);
    resolve();
  };
  document.addEventListener('visibilitychange', look);
  look();
});

/** Returns the next changes, or `undefined` if the page was hidden in the meantime. @returns {Promise<Response | undefined>} */
async function next() {
  if (!cursor) return request('GET', '/api/changes');
  const stop = new AbortController();
  const hide = () => document.hidden && stop.abort();
  const timer = setTimeout(() => stop.abort(), LOST);
  document.addEventListener('visibilitychange', hide);
  try {
    return await request('GET', `/api/changes?limit=1000&wait=${WAIT}&since=${cursor}`, { signal: stop.signal });
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
      // A hidden page also requests the first cursor, because its views load data right after that.
      if (cursor) await visible();
      // A server that stops sends an empty response before the time is over. The next request then fails.
      const answer = await next();
      if (!answer) continue;
      if (answer.status === 410) {
        cursor = '';
        await answer.text();
        const newest = await (await request('GET', '/api/changes')).json();
        cursor = newest.next;
        notify({ op: 'gone' });
        continue;
      }
      if (answer.status === 401) continue;
      if (!answer.ok) throw new Error(`the feed responded with status ${answer.status}`);
      const page = await answer.json();
      cursor = page.next;
      failures = 0;
      feed.set({ isLive: true });
      waiting.forEach((resolve) => resolve());
      waiting = [];
      page.changes.forEach(notify);
    } catch {
      feed.set({ isLive: false });
      failures += 1;
      // Random, so that not all pages reconnect at once.
      await pause(Math.min(LONGEST_PAUSE, 500 * 2 ** Math.min(failures, 5)) * (0.7 + 0.6 * Math.random()));
    }
  }
}
