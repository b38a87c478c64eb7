// @ts-check
// The graph as a list, for screen readers and for reading.
import { html, useState } from '../vendor/preact.js';
import { count } from '../parts/count.js';
import { describe } from './draw.js';

/**
 * @param {{ model: import('./model.js').Model, warnings: Map<string, string[]>, marks?: Map<string, import('./compare.js').Mark>,
 *   onSelect: (key: string) => void }} props
 */
export function InWords({ model, warnings, marks, onSelect }) {
  const { nodes, links } = model;
  // Rendered only while open: for 500 nodes, the list is as large as the graph.
  const [isOpen, setOpen] = useState(false);
  if (nodes.length === 0) return null;
  return html`
    <details class="graph-words" onToggle=${(/** @type {any} */ event) => setOpen(event.currentTarget.open)}>
      <summary>${count(nodes.length, 'node')} and ${count(links.length, 'link')} as a list</summary>
      ${isOpen && html`<h2>Nodes</h2>
      <ul>${nodes.map((node) => html`
        <li key=${node.key}><button type="button" class="as-link" onClick=${() => onSelect(node.key)}>${describe(node, warnings.get(node.key) ?? [], marks?.get(node.key))}</button></li>`)}
      </ul>
      <h2>Links</h2>
      ${links.length === 0 ? html`<p>None.</p>` : html`<ul>${links.map((link) => html`
        <li key=${link.key}><button type="button" class="as-link" onClick=${() => onSelect(link.key)}>${describeLink(link, warnings.get(link.key), marks?.get(link.key))}</button></li>`)}
      </ul>`}`}
    </details>`;
}

/** @param {import('./model.js').Link} link @param {string[]} [warnings] @param {import('./compare.js').Mark} [mark] */
export function describeLink(link, warnings, mark) {
  return [`${link.fromEnd} to ${link.toEnd}`, link.media || 'unknown media', mark?.kind, ...(warnings ?? [])].filter(Boolean).join(', ');
}
