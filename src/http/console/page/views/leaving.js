// @ts-check
import { guard } from '../guard.js';
import { useEffect, useRef, useState } from '../vendor/preact.js';

/**
 * Asks before somebody leaves with unsaved text: by a link or the way back, and (as only the browser can) by closing the tab.
 * Gives the place that somebody wants to go to, and what to do about it.
 * @param {boolean} hasUnsaved
 */
export function useLeaving(hasUnsaved) {
  const [wanted, setWanted] = useState(/** @type {string | undefined} */ (undefined));
  const unsaved = useRef(hasUnsaved);
  unsaved.current = hasUnsaved;
  const here = useRef(location.hash);
  /** Whether somebody has decided: what follows is a render or two later than the way there. */
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
    /** For a way that the page takes by itself. @param {string} hash */
    go: (hash) => {
      isFree.current = true;
      location.hash = hash;
    },
  };
}
