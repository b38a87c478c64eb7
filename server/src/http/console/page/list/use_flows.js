// @ts-check
// The flows of a list: loaded page by page, and kept up to date.
import { get } from '../api.js';
import { begun, subscribe } from '../feed.js';
import { useCallback, useEffect, useRef, useState } from '../vendor/preact.js';
import { parameters } from './filters.js';

/** @typedef {{ id: string, name: string, state: string, auto_restart: boolean, revision: number, created_at: string, updated_at: string,
 *   size: number, elements: number, blocks: number, links: number }} Summary */

const PAGE = 100;
/** The largest page that the server returns. */
const LARGEST = 10_000;
/** The pause between two refreshes, in milliseconds. One refresh shows many changes. */
const PAUSE = 700;

/**
 * @param {import('./filters.js').Filters} filters @param {() => number} seenUpTo the number of flows down to the bottom of the window
 * @param {(change: () => void) => void} keepPlace applies a change without moving the visible rows
 */
export function useFlows(filters, seenUpTo, keepPlace) {
  const query = parameters(filters).toString();
  const [flows, setFlows] = useState(/** @type {Summary[] | undefined} */ (undefined));
  const [total, setTotal] = useState(/** @type {number | undefined} */ (undefined));
  const [error, setError] = useState(/** @type {any} */ (undefined));
  const [isBusy, setBusy] = useState(true);
  const [fresh, setFresh] = useState(/** @type {Set<string>} */ (new Set()));
  const now = useRef({ query, cursor: /** @type {string | undefined} */ (undefined), flows: /** @type {Summary[]} */ ([]), isAsking: false, begun: 0 });
  const control = useRef(new AbortController());

  const show = (/** @type {Summary[]} */ list, /** @type {string | undefined} */ cursor) => {
    Object.assign(now.current, { flows: list, cursor });
    setFlows(list);
  };
  const ask = useCallback(async (/** @type {string} */ more, /** @type {AbortSignal} */ signal) =>
    (await get(`/api/flows?view=summary&${more}${query && `&${query}`}`, { signal })).body, [query]);
  // Counting reads all matching flows, so the list does not wait for it.
  const count = useCallback((/** @type {AbortSignal} */ signal) =>
    ask('limit=1&count=true', signal).then((body) => setTotal(body.total)).catch(() => {}), [ask]);

  const load = useCallback(async () => {
    control.current.abort();
    const { signal } = (control.current = new AbortController());
    now.current.isAsking = false;
    setBusy(true);
    try {
      await begun();
      const body = await ask(`limit=${PAGE}`, signal);
      show(body.flows, body.next_cursor);
      setError(undefined);
      count(signal);
    } catch (failure) {
      if (signal.aborted) return;
      setError(failure);
    }
    setBusy(false);
  }, [ask, count]);

  useEffect(() => {
    load();
    return () => control.current.abort();
  }, [load]);

  const more = useCallback(async () => {
    const { cursor, isAsking } = now.current;
    const { signal } = control.current;
    if (!cursor || isAsking) return;
    now.current.isAsking = true;
    try {
      const body = await ask(`limit=${PAGE}&cursor=${encodeURIComponent(cursor)}`, signal);
      // If the list was refreshed in the meantime, this page does not follow it.
      if (now.current.cursor === cursor) show([...now.current.flows, ...body.flows], body.next_cursor);
      setError(undefined);
    } catch (failure) {
      if (!signal.aborted) setError(failure);
    } finally {
      now.current.isAsking = false;
    }
  }, [ask]);

  const refresh = useCallback(async (/** @type {Set<string>} */ changed) => {
    const { signal } = control.current;
    // Rows further down are loaded when the user scrolls to them.
    const wanted = Math.max(PAGE, Math.ceil((seenUpTo() + PAGE / 2) / PAGE) * PAGE);
    /** @type {Summary[]} */
    let list = [];
    /** @type {string | undefined} */
    let cursor;
    do {
      const body = await ask(`limit=${Math.min(LARGEST, wanted - list.length)}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`, signal);
      list = list.concat(body.flows);
      cursor = body.next_cursor;
    } while (cursor && list.length < wanted);
    keepPlace(() => show(list, cursor));
    setFresh(changed);
    setError(undefined);
    count(signal);
  }, [ask, count, keepPlace, seenUpTo]);

  useEffect(() => {
    let timer = 0;
    let isRefreshing = false;
    let pause = PAUSE;
    let changed = new Set();
    const run = async () => {
      timer = 0;
      if (isRefreshing) return later();
      isRefreshing = true;
      const these = changed;
      changed = new Set();
      const begun = performance.now();
      await refresh(these).catch(() => {});
      // Far down in a long list, a refresh takes long. The pause limits the load on the server.
      pause = Math.max(PAUSE, 3 * (performance.now() - begun));
      isRefreshing = false;
    };
    const later = () => {
      timer ||= setTimeout(run, pause);
    };
    const stop = subscribe((change) => {
      if (change.flow_id) changed.add(change.flow_id);
      // The first change is shown immediately.
      if (!timer && !isRefreshing && changed.size < 2) timer = setTimeout(run, 60);
      else later();
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [refresh]);

  return { flows, total, error, isBusy, fresh, hasMore: Boolean(now.current.cursor), more, load };
}
