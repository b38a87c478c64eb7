// @ts-check
// Maps addresses to views. The view follows `#`, so that the server serves only one page. Filters follow `?`.
import { mayLeave } from '../guard.js';
import { EditView } from '../views/edit.js';
import { FlowView } from '../views/flow.js';
import { HistoryView } from '../views/history.js';
import { ImportView } from '../views/import.js';
import { ListView } from '../views/list.js';
import { TrashView } from '../views/trash.js';
import { html, useEffect, useState } from '../vendor/preact.js';

/** A segment that starts with `:` is a parameter. @type {[string, string, any][]} */
const ROUTES = [
  ['/', 'Flows', ListView],
  ['/flows/:id', 'Flow', FlowView],
  ['/flows/:id/edit', 'Edit', EditView],
  ['/flows/:id/history', 'History', HistoryView],
  ['/trash', 'Trash', TrashView],
  ['/import', 'Import', ImportView],
];

/** @param {string} hash */
export function routeOf(hash) {
  const [path] = hash.replace(/^#/, '').split('?');
  const parts = (path || '/').split('/');
  for (const [pattern, name, View] of ROUTES) {
    const wanted = pattern.split('/');
    const fits = wanted.length === parts.length && wanted.every((part, index) => (part.startsWith(':') ? parts[index] : part === parts[index]));
    if (!fits) continue;
    const named = wanted.flatMap((part, index) => (part.startsWith(':') ? [[part.slice(1), decode(parts[index])]] : []));
    return { View, name, path: path || '/', params: /** @type {Record<string, string>} */ (Object.fromEntries(named)) };
  }
  return { View: NotFound, name: 'Page not found', path, params: {} };
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function useRoute() {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  useEffect(() => {
    const moved = () => {
      if (!mayLeave()) return;
      setRoute((before) => {
        const next = routeOf(location.hash);
        // Screen readers continue at the beginning of the new view, and the window shows its top.
        if (next.path !== before.path) requestAnimationFrame(() => { scrollTo(0, 0); document.getElementById('main')?.focus({ preventScroll: true }); });
        return next;
      });
    };
    addEventListener('hashchange', moved);
    return () => removeEventListener('hashchange', moved);
  }, []);
  return route;
}

function NotFound() {
  return html`<section class="empty-page"><h1>Page not found</h1><p>The console has no page at this address. <a href="#/">Go to the flows</a>.</p></section>`;
}
