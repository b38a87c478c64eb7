// @ts-check
import { useEffect, useState } from './vendor/preact.js';

/**
 * A value that several parts of the page use.
 * @template T @param {T} first
 */
export function store(first) {
  let value = first;
  /** @type {Set<(value: T) => void>} */
  const watchers = new Set();
  const watch = (/** @type {(value: T) => void} */ watcher) => {
    watchers.add(watcher);
    return () => void watchers.delete(watcher);
  };
  return {
    get: () => value,
    /** @param {Partial<T>} part */
    set(part) {
      value = { ...value, ...part };
      for (const watcher of [...watchers]) watcher(value);
    },
    watch,
    /** Returns the value and renders the component again when it changes. */
    use() {
      const [seen, see] = useState(value);
      useEffect(() => {
        // The value may have changed since the first render.
        see(value);
        return watch(see);
      }, []);
      return seen;
    },
  };
}
