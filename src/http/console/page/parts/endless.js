// @ts-check
import { html, useEffect, useRef } from '../vendor/preact.js';

/**
 * The end of a list, which goes on when it comes into view; also a button, for those who do not scroll. Its key is how much is
 * there, so that it looks again when there is more.
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
