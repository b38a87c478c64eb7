// @ts-check
import { html, useEffect, useRef } from '../vendor/preact.js';

/**
 * The end of a list. It loads more when it becomes visible, and has a button for use without scrolling. Its key is the length of
 * the list, so that it checks its visibility again after each page.
 * @param {{ onMore: () => void, what: string }} props
 */
export function Endless({ onMore, what }) {
  const end = useRef(/** @type {HTMLElement | null} */ (null));
  const more = useRef(onMore);
  more.current = onMore;
  useEffect(() => {
    const watch = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && more.current(), { rootMargin: '300px' });
    if (end.current) watch.observe(end.current);
    return () => watch.disconnect();
  }, []);
  return html`<p class="endless" ref=${end}><button type="button" onClick=${onMore}>Show more ${what}</button></p>`;
}
