// @ts-check
// Accepts files that are dropped anywhere on the page, and opens the import view with them.
import { session } from '../session.js';
import { store } from '../store.js';
import { useEffect } from '../vendor/preact.js';

/** Dropped files that the import view has not read yet, and whether files are dragged over the page. */
export const dropped = store({ files: /** @type {File[]} */ ([]), isOver: false });

export function useDropping() {
  useEffect(() => {
    const hasFiles = (/** @type {DragEvent} */ event) => !session.get().isOut && [...(event.dataTransfer?.types ?? [])].includes('Files');
    const over = (/** @type {DragEvent} */ event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      if (!dropped.get().isOver) dropped.set({ isOver: true });
    };
    // The event also fires between elements of the page. Only when files leave the window, `relatedTarget` is null.
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
