// @ts-check
import { html } from '../vendor/preact.js';

const MEDIA = [
  ['video', html`<rect x="3" y="3" width="10" height="10" />`], ['audio', html`<circle cx="8" cy="8" r="5.5" />`],
  ['data', html`<path d="M8 2l6 6-6 6-6-6z" />`], ['unknown', html`<circle cx="8" cy="8" r="4.5" />`],
];

/** Explains the shapes that the graph contains. @param {{ hasMoved: boolean, model: import('./model.js').Model }} props */
export function Legend({ hasMoved, model }) {
  const lists = new Set(model.nodes.map((node) => node.list));
  const media = new Set(model.links.map((link) => link.media || 'unknown'));
  for (const node of model.nodes) for (const pad of [...node.inputs, ...node.outputs]) media.add(pad.media || 'unknown');
  if (model.nodes.length === 0) return null;
  return html`
    <ul class="graph-legend" aria-label="Legend">
      ${lists.has('elements') && html`<li><i class="swatch elements"></i>element</li>`}
      ${lists.has('blocks') && html`<li><i class="swatch blocks"></i>block</li>`}
      ${lists.has('missing') && html`<li><i class="swatch missing"></i>missing</li>`}
      ${MEDIA.filter(([name]) => media.has(name)).map(([name, shape]) => html`
        <li><svg class=${`media-${name}`} width="16" height="16" aria-hidden="true"><g class=${`pad media-${name}`}>${shape}</g></svg>
          ${name === 'unknown' ? 'unknown media' : name}</li>`)}
      ${hasMoved && html`<li><i class="swatch former"></i>where a moved node was</li>`}
    </ul>`;
}
