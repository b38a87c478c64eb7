// @ts-check
// Shows all members of the selected node or link, or of the flow.
import { get, shown, source } from '../json/parse.js';
import { format } from '../json/format.js';
import { html } from '../vendor/preact.js';
import { NOUN } from './model.js';
import { describeLink } from './words.js';

/** @typedef {import('../json/parse.js').Value} Value */

/** Members of nodes that the panel or the graph shows elsewhere. */
const SHOWN = ['id', 'name', 'element_type', 'block_definition_id', 'properties', 'pad_properties', 'position'];

/**
 * @param {{ flow: Value, model: import('./model.js').Model, warnings: Map<string, string[]>, selected?: string,
 *   onSelect: (key: string | undefined) => void }} props
 */
export function Panel({ flow, model, warnings, selected, onSelect }) {
  const node = model.nodes.find((one) => one.key === selected);
  const link = model.links.find((one) => one.key === selected);
  return html`
    <aside class="panel" aria-label="Properties" aria-live="polite">
      ${node ? html`<${OfNode} ...${{ node, model, onSelect }} warnings=${warnings.get(node.key) ?? []} />`
      : link ? html`<${OfLink} ...${{ link, onSelect }} warnings=${warnings.get(link.key) ?? []} />`
      : html`<${OfFlow} flow=${flow} warnings=${warnings.get('$') ?? []} />`}
      ${(node || link) && html`<p><button type="button" onClick=${() => onSelect(undefined)}>Show the flow's properties</button></p>`}
    </aside>`;
}

/** @param {{ flow: Value, warnings: string[] }} props */
function OfFlow({ flow, warnings }) {
  const rest = (flow.members ?? []).filter(({ name }) => !['elements', 'blocks', 'links', 'properties', 'id', 'name'].includes(name));
  return html`
    <h2>Flow</h2>
    <${Warnings} warnings=${warnings} />
    <${Table} caption="Properties" of=${get(flow, 'properties')} />
    ${rest.length > 0 && html`<${Table} caption="More" of=${{ ...flow, members: rest }} />`}
    <p class="hint">Select a node or a link to see its properties.</p>`;
}

/**
 * @param {{ node: import('./model.js').Node, model: import('./model.js').Model, warnings: string[], onSelect: (key: string) => void }} props
 */
function OfNode({ node, model, warnings, onSelect }) {
  const { value } = node;
  const links = model.links.filter((link) => link.from === node || link.to === node);
  const more = (value?.members ?? []).filter(({ name }) => !SHOWN.includes(name));
  const padProperties = get(value, 'pad_properties')?.members ?? [];
  const pads = [...node.inputs.map((one) => ({ ...one, way: 'input' })), ...node.outputs.map((one) => ({ ...one, way: 'output' }))].filter(({ name }) => name);
  const position = get(value, 'position');
  return html`
    <h2>${node.title}</h2>
    <dl class="facts">
      <dt>${NOUN[node.list]}</dt><dd>${node.kind || 'no type'}</dd>
      <dt>id</dt><dd><code>${node.id}</code></dd>
      ${position && html`<dt>position</dt><dd>${source(position)}</dd>`}
      ${node.media && html`<dt>media</dt><dd>${node.media}</dd>`}
    </dl>
    <${Warnings} warnings=${warnings} />
    ${value && html`<${Table} caption="Properties" of=${get(value, 'properties')} />`}
    ${padProperties.map((pad) => html`<${Table} key=${pad.name} caption=${`Properties of pad ${pad.name}`} of=${pad.value} />`)}
    ${value && more.length > 0 && html`<${Table} caption="More" of=${{ ...value, members: more }} />`}
    ${pads.length > 0 && html`
      <h3>Pads</h3>
      <ul class="plain">${pads.map(({ way, name, media }) => html`<li key=${`${way} ${name}`}>${way} <code>${name}</code>${media && `, ${media}`}</li>`)}</ul>`}
    <h3>Links</h3>
    ${links.length === 0 ? html`<p>None.</p>` : html`<ul class="plain">${links.map((link) => html`
      <li key=${link.key}><button type="button" class="as-link" onClick=${() => onSelect(link.key)}>${describeLink(link)}</button></li>`)}</ul>`}`;
}

/** @param {{ link: import('./model.js').Link, warnings: string[], onSelect: (key: string) => void }} props */
function OfLink({ link, warnings, onSelect }) {
  const more = (link.value.members ?? []).filter(({ name }) => !['from', 'to'].includes(name));
  const end = (/** @type {import('./model.js').Node} */ node, /** @type {string} */ pad) => html`
    <button type="button" class="as-link" onClick=${() => onSelect(node.key)}>${node.title}</button>${pad && html`, pad <code>${pad}</code>`}`;
  return html`
    <h2>Link</h2>
    <dl class="facts">
      <dt>from</dt><dd>${end(link.from, link.fromPad)}</dd>
      <dt>to</dt><dd>${end(link.to, link.toPad)}</dd>
      <dt>media</dt><dd>${link.media || 'unknown'}</dd>
    </dl>
    <${Warnings} warnings=${warnings} />
    ${more.length > 0 && html`<${Table} caption="More" of=${{ ...link.value, members: more }} />`}`;
}

/** @param {{ warnings: string[] }} props */
function Warnings({ warnings }) {
  if (warnings.length === 0) return null;
  return html`<ul class="warnings" aria-label="Warnings">${warnings.map((words) => html`<li key=${words}>${words}</li>`)}</ul>`;
}

/** A table of names and values, with exact numbers. @param {{ caption: string, of: Value | undefined }} props */
function Table({ caption, of }) {
  const members = of?.members ?? [];
  if (members.length === 0) return null;
  return html`
    <table class="properties">
      <caption>${caption}</caption>
      <tbody>${members.map(({ name, value }) => html`
        <tr key=${name}><th scope="row">${name}</th><td class=${value.kind}>${value.members || value.items ? html`<pre tabindex="0">${format(value)}</pre>` : shown(value)}</td></tr>`)}
      </tbody>
    </table>`;
}
