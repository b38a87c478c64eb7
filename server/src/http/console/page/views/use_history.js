// @ts-check
import { begun, subscribe } from '../feed.js';
import { history, restore, revisionOf } from '../flows.js';
import { useCallback, useEffect, useRef, useState } from '../vendor/preact.js';

/** @typedef {import('../flows.js').Entry} Entry */

const PAGE = 50;

/** Loads the history of a flow page by page, and keeps it up to date. @param {string} id */
export function useHistory(id) {
  const [entries, setEntries] = useState(/** @type {Entry[]} */ ([]));
  const [flow, setFlow] = useState(/** @type {any} */ (undefined));
  const [hasMore, setMore] = useState(false);
  const [error, setError] = useState(/** @type {unknown} */ (undefined));
  const [trouble, setTrouble] = useState(/** @type {unknown} */ (undefined));
  const [said, say] = useState('');
  const [undo, setUndo] = useState(/** @type {number | undefined} */ (undefined));
  const [isBusy, setBusy] = useState(false);
  const isAsking = useRef(false);

  /** Loads the newest page, and puts it before the loaded entries. */
  const refresh = useCallback(async () => {
    try {
      const page = await history(id, { limit: PAGE });
      setFlow(await revisionOf(id, page[0].revision));
      setEntries((known) => {
        const oldest = page.at(-1)?.revision ?? 0;
        const kept = known.filter((entry) => entry.revision < oldest);
        // Without a common entry, there may be a gap. Then the older entries are dropped, because the gap would be invisible.
        const joins = known.some((entry) => entry.revision >= oldest);
        if (!joins || kept.length === 0) setMore(page.length === PAGE);
        return joins ? [...page, ...kept] : page;
      });
      setError(undefined);
    } catch (failure) {
      setError(failure);
    }
  }, [id]);

  useEffect(() => {
    setEntries([]);
    say('');
    setUndo(undefined);
    begun().then(refresh);
    return subscribe((/** @type {any} */ change) => (change.flow_id === id || change.op === 'gone') && refresh());
  }, [id, refresh]);

  const more = useCallback(async () => {
    const last = entries.at(-1);
    if (!last || isAsking.current) return;
    isAsking.current = true;
    try {
      const page = await history(id, { before: last.revision, limit: PAGE });
      setEntries((known) => [...known, ...page.filter((entry) => entry.revision < (known.at(-1)?.revision ?? Infinity))]);
      setMore(page.length === PAGE);
    } catch (failure) {
      setError(failure);
    } finally {
      isAsking.current = false;
    }
  }, [id, entries]);

  const bring = async (/** @type {number} */ revision, /** @type {(made: number) => string} */ words, /** @type {number | undefined} */ back) => {
    const last = entries[0];
    setBusy(true);
    setTrouble(undefined);
    try {
      const made = await restore(id, revision, last.op === 'delete' ? null : last.revision);
      say(words(made.revision));
      setUndo(back);
      await refresh();
    } catch (failure) {
      const isStale = /** @type {any} */ (failure).status === 412;
      setTrouble(isStale ? new Error('the flow changed in the meantime, so nothing was restored; review the new revision and try again') : failure);
      await refresh();
    } finally {
      setBusy(false);
    }
  };
  return {
    entries, flow, hasMore, error, trouble, said, undo, isBusy, more,
    restore: (/** @type {number} */ revision) => {
      const last = entries[0];
      // Undo does not delete a flow again.
      const back = last.op === 'delete' ? undefined : last.revision;
      return bring(revision, (made) => `Revision ${revision} was restored as revision ${made}.`, back);
    },
    takeBack: () => bring(/** @type {number} */ (undo), (made) => `Undone: revision ${undo} was restored as revision ${made}.`, undefined),
  };
}
