// @ts-check
// Files may be dropped anywhere on the page; they come to the view that imports them.
import { session } from '../session.js';
import { store } from '../store.js';
import { useEffect } from '../vendor/preact.js';

/** What was dropped and nobody has taken yet, and whether files are over the page. */
export const dropped = store({ files: /** @type {File[]} */ ([]), isOver: false });

export function useDropping() {
  useEffect(() => {
    const hasFiles = (/** @type {DragEvent} */ event) => !session.get().isOut && [...(event.dataTransfer?.types ?? [])].includes('Files');
    const over = (/** @type {DragEvent} */ event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      if (!dropped.get().isOver) dropped.set({ isOver: true });
    };
    // Also fired between the parts of the page: only the way out of the window has nowhere to go.
    const out = (/** @type {DragEvent} */ event) => event.relatedTarget === null && dropped.set({ isOver: false });
    const drop = (/** @type {DragEvent} */ event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      dropped.set({ isOver: false, files: [...(event.dataTransfer?.files ?? [])] });
      location.hash = '#/import';
    };
    const pairs = /** @type {const} */ ([['dragover', over], ['dragleave', out], ['drop', drop]]);
    for (const [name, listener] of pairs) addEventListener(name, listener);
    return () => pairs.forEach(([name, listener]) => removeEventListener(name, listener));
  }, []);
}
