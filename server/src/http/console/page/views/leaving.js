// @ts-check
import { guard } from '../guard.js';
import { useEffect, useRef, useState } from '../vendor/preact.js';

/**
 * Asks before the user leaves unsaved text by a link, by the Back button or by closing the tab; only the browser can ask for the
 * last one. Returns the address that the user wants to open, and the functions that answer the question.
 * @param {boolean} hasUnsaved
 */
export function useLeaving(hasUnsaved) {
  const [wanted, setWanted] = useState(/** @type {string | undefined} */ (undefined));
  const unsaved = useRef(hasUnsaved);
  unsaved.current = hasUnsaved;
  const here = useRef(location.hash);
  /** Whether the user has decided to leave. State would change only with the next render, after the new address. */
  const isFree = useRef(false);

  useEffect(() => {
    here.current = location.hash;
    const unload = (/** @type {BeforeUnloadEvent} */ event) => unsaved.current && !isFree.current && event.preventDefault();
    const unguard = guard(() => {
      if (!unsaved.current || isFree.current || location.hash === here.current) return true;
      const there = location.hash;
      history.replaceState(null, '', here.current);
      setWanted(there);
      return false;
    });
    addEventListener('beforeunload', unload);
    return () => {
      removeEventListener('beforeunload', unload);
      unguard();
    };
  }, []);
  return {
    wanted,
    stay: () => setWanted(undefined),
    leave: () => {
      isFree.current = true;
      setWanted(undefined);
      location.hash = wanted ?? '#/';
    },
    /** Opens an address without asking. @param {string} hash */
    go: (hash) => {
      isFree.current = true;
      location.hash = hash;
    },
  };
}
