// @ts-check
import { begun, subscribe } from '../feed.js';
import { history, restore, revisionOf } from '../flows.js';
import { useCallback, useEffect, useRef, useState } from '../vendor/preact.js';

/** @typedef {import('../flows.js').Entry} Entry */

const PAGE = 50;

/** The history of a flow as far as it has been asked for, kept up to date. @param {string} id */
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

  /** The newest page, in front of what is there. */
  const refresh = useCallback(async () => {
    try {
      const page = await history(id, { limit: PAGE });
      setFlow(await revisionOf(id, page[0].revision));
      setEntries((known) => {
        const oldest = page.at(-1)?.revision ?? 0;
        const kept = known.filter((entry) => entry.revision < oldest);
        // A gap between both would look as if nothing had been there.
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
      setTrouble(isStale ? new Error('somebody has changed the flow meanwhile, and nothing was restored; look at what is new') : failure);
      await refresh();
    } finally {
      setBusy(false);
    }
  };
  return {
    entries, flow, hasMore, error, trouble, said, undo, isBusy, more,
    restore: (/** @type {number} */ revision) => {
      const last = entries[0];
      // What was deleted is not deleted again by an undo.
      const back = last.op === 'delete' ? undefined : last.revision;
      return bring(revision, (made) => `The flow is as it was at revision ${revision} again. That is revision ${made}.`, back);
    },
    takeBack: () => bring(/** @type {number} */ (undo), (made) => `Taken back: the flow is as it was at revision ${undo}. That is revision ${made}.`, undefined),
  };
}
