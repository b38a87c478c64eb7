// @ts-check
// The rows of a long list. The page contains only the rows near the window: browsers need seconds and hundreds of megabytes for
// 100,000 rows. All rows have the height that the style sheet defines.
import { When } from '../parts/when.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from '../vendor/preact.js';

/** The number of rows above and below the window, for the keyboard and fast scrolling. */
const MARGIN = 15;

/** @param {{ flows: import('./use_flows.js').Summary[], total?: number, fresh: Set<string>, hasMore: boolean, onMore: () => void, onExport: (flow: any) => void,
 *   place: { current: any } }} props */
export function Rows({ flows, total, fresh, hasMore, onMore, onExport, place }) {
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const end = useRef(/** @type {HTMLElement | null} */ (null));
  const [[first, last], setRange] = useState([0, 40]);
  const [height, setHeight] = useState(64);
  const more = useRef(onMore);
  more.current = onMore;

  const look = () => {
    const element = list.current;
    if (!element) return;
    const row = Number.parseFloat(getComputedStyle(element).getPropertyValue('--row')) || 64;
    const above = -element.getBoundingClientRect().top;
    const from = Math.floor(above / row);
    const to = Math.ceil((above + innerHeight) / row);
    setHeight(row);
    place.current = { element, row, from: Math.max(0, from), to: Math.max(0, to), above };
    setRange((before) => {
      const next = [Math.max(0, from - MARGIN), Math.max(0, to + MARGIN)];
      return next[0] === before[0] && next[1] === before[1] ? before : next;
    });
  };
  useLayoutEffect(look, [flows]);
  useEffect(() => {
    let frame = 0;
    const later = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        look();
      });
    };
    addEventListener('scroll', later, { passive: true });
    addEventListener('resize', later);
    return () => {
      cancelAnimationFrame(frame);
      removeEventListener('scroll', later);
      removeEventListener('resize', later);
    };
  }, []);
  useEffect(() => {
    const watch = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && more.current(), { rootMargin: '1200px' });
    if (end.current) watch.observe(end.current);
    return () => watch.disconnect();
    // An observer reports only changes of visibility. A new one after each page also reports an end that stays visible.
  }, [flows.length, hasMore]);

  const shown = flows.slice(first, last);
  return html`
    <ul class="rows" ref=${list} aria-label="Flows" style=${{ height: `${flows.length * height}px` }}>
      ${shown.map((flow, index) => html`
        <li key=${flow.id} class=${`row ${fresh.has(flow.id) ? 'is-fresh' : ''}`} aria-setsize=${total ?? -1} aria-posinset=${first + index + 1}
          style=${{ transform: `translateY(${(first + index) * height}px)` }}>
          <${Row} flow=${flow} onExport=${onExport} />
        </li>`)}
    </ul>
    <div ref=${end} class="rows-end">${hasMore ? html`<button type="button" onClick=${onMore}>Show more flows</button>` : flows.length > 20 && html`<p class="hint">End of the list.</p>`}</div>`;
}

const count = (/** @type {number} */ number, /** @type {string} */ what) => `${number} ${what}${number === 1 ? '' : 's'}`;

/** @param {{ flow: import('./use_flows.js').Summary, onExport: (flow: any) => void }} props */
function Row({ flow, onExport }) {
  return html`
    <a class="name" href=${`#/flows/${flow.id}`} title=${flow.name}>${flow.name}</a>
    <span class=${`state state-${flow.state}`}>${flow.state}</span>
    <span class="starts">${flow.auto_restart ? 'auto-restart' : ''}</span>
    <span class="made-of">${count(flow.elements, 'element')}, ${count(flow.blocks, 'block')}, ${count(flow.links, 'link')}</span>
    <span class="changed"><span class="unseen">changed </span><${When} at=${flow.updated_at} /></span>
    <button type="button" class="quiet export" aria-label=${`Export ${flow.name}`} title="Download this flow as an importable file" onClick=${() => onExport(flow)}>Export</button>`;
}
