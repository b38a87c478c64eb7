// @ts-check
import { begun, subscribe } from '../feed.js';
import { check, difference, history, read } from '../flows.js';
import { useCallback, useEffect, useRef, useState } from '../vendor/preact.js';

/** @typedef {import('../json/parse.js').Value} Value */
/** @typedef {import('../flows.js').Entry} Entry */
/** @typedef {{ op: string, revision: number, author: string, at: string, difference?: import('../flows.js').Difference }} News */

/**
 * Loads a flow, keeps it up to date, and collects the changes of other clients as news.
 * @param {string} id
 */
export function useFlow(id) {
  const [state, setState] = useState(/** @type {{ flow?: Value, revision: number, last?: Entry, warnings: any[] }} */ ({ revision: 0, warnings: [] }));
  const [news, setNews] = useState(/** @type {News[]} */ ([]));
  const [isDeleted, setDeleted] = useState(false);
  const [error, setError] = useState(/** @type {any} */ (undefined));
  const seen = useRef(0);
  const current = useRef(id);
  current.current = id;

  const load = useCallback(async () => {
    try {
      const [{ flow, revision }, [last], warnings] = await Promise.all([read(id), history(id, { limit: 1 }), check(id)]);
      if (current.current !== id) return;
      seen.current = revision;
      setState({ flow, revision, last, warnings });
      setDeleted(false);
      setError(undefined);
    } catch (failure) {
      if (current.current === id) setError(failure);
    }
  }, [id]);

  useEffect(() => {
    seen.current = 0;
    setState({ revision: 0, warnings: [] });
    setNews([]);
    setDeleted(false);
    begun().then(load);
    return subscribe(async (/** @type {any} */ change) => {
      // Changes were missed. Loading the flow shows their result.
      if (change.op === 'gone') return load();
      if (change.flow_id !== id) return;
      const before = seen.current;
      if (change.op === 'delete') {
        setDeleted(true);
      } else {
        await load();
      }
      // Changes by this page and reports of an engine are not news.
      if (before === 0 || change.revision <= before || change.op === 'state') return;
      const words = change.op === 'delete' ? undefined : await difference(id, before, change.revision).catch(() => undefined);
      if (current.current === id) setNews((list) => [{ ...change, difference: words }, ...list].slice(0, 5));
    });
  }, [id, load]);

  /** Reloads after a change by this page. The revision marks the change as known before the feed delivers it. */
  const reload = useCallback(async (/** @type {number} */ revision) => {
    seen.current = Math.max(seen.current, revision);
    await load();
  }, [load]);
  return { ...state, news, isDeleted, error, dismiss: () => setNews([]), reload };
}
