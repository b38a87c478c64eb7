// @ts-check
// The nodes and links of any document, also of a faulty one. Nothing is omitted: a link whose end does not exist ends at a missing
// node, and two nodes with the same id both appear.
import { get, number, string } from '../json/parse.js';
import { byName, byType, ofNode } from './media.js';

/** @typedef {import('../json/parse.js').Value} Value */
/** @typedef {import('./media.js').Media} Media */
/** @typedef {{ name: string, media: Media }} Pad */
/** @typedef {{ x: number, y: number }} Point */
/**
 * @typedef {{ key: string, list: 'elements' | 'blocks' | 'missing', id: string, kind: string, title: string,
 *   media: Media, position: Point | undefined, inputs: Pad[], outputs: Pad[], value: Value | undefined }} Node
 * @typedef {{ key: string, from: Node, to: Node, fromPad: string, toPad: string, fromEnd: string, toEnd: string,
 *   media: Media, value: Value }} Link
 * @typedef {{ nodes: Node[], links: Link[] }} Model
 */

/** The noun for a node of each list. */
export const NOUN = { elements: 'element', blocks: 'block', missing: 'missing node' };

/** Larger positions cannot be drawn. Older versions store positions such as 1e39. */
const FAR = 1e6;

/** A node or link of a document, and its location. @typedef {{ list: string, index: number, value: Value, key: string }} Entry */

/** Returns the entries of a list. @param {Value} flow @param {string} list @returns {Entry[]} */
export function entries(flow, list) {
  const items = get(flow, list)?.items ?? [];
  return items.map((value, index) => ({ list, index, value, key: `$.${list}[${index}]` }));
}

/** @param {Value} flow @returns {Model} */
export const model = (flow) => build([...entries(flow, 'elements'), ...entries(flow, 'blocks')], entries(flow, 'links'));

/** If two nodes have the same id, links end at the first. @param {Entry[]} nodeEntries @param {Entry[]} linkEntries @returns {Model} */
export function build(nodeEntries, linkEntries) {
  const nodes = nodeEntries.map(nodeOf);
  /** @type {Map<string, Node>} */
  const byId = new Map();
  for (const node of nodes) if (!byId.has(node.id)) byId.set(node.id, node);
  const links = linkEntries.map((entry) => linkOf(entry, nodes, byId));
  return { nodes, links };
}

/** @param {Entry} entry @returns {Node} */
function nodeOf({ list, key, value }) {
  const kind = string(get(value, list === 'elements' ? 'element_type' : 'block_definition_id')) ?? '';
  const id = string(get(value, 'id')) ?? '';
  const pads = get(value, 'computed_external_pads');
  return {
    key, list: /** @type {'elements' | 'blocks'} */ (list), id, kind, value,
    title: string(get(value, 'name')) || id || '(no id)',
    media: ofNode(value, kind),
    position: positionOf(get(value, 'position')),
    inputs: reported(get(pads, 'inputs')),
    outputs: reported(get(pads, 'outputs')),
  };
}

/** Reads `[x, y]`, the form of elements, or `{x, y}`, the form of blocks. @param {Value | undefined} value */
function positionOf(value) {
  const x = number(value?.items?.[0] ?? get(value, 'x'));
  const y = number(value?.items?.[1] ?? get(value, 'y'));
  if (x === undefined || y === undefined || !(Math.abs(x) < FAR) || !(Math.abs(y) < FAR)) return undefined;
  return { x, y };
}

/** Returns the pads that an engine reported for a block. @param {Value | undefined} list @returns {Pad[]} */
function reported(list) {
  const pads = (list?.items ?? []).map((pad) => {
    const name = string(get(pad, 'name')) ?? '';
    return { name, media: byType(get(pad, 'media_type')) || byName(name) };
  });
  return pads.filter((pad) => pad.name);
}

/** @param {Entry} entry @param {Node[]} nodes @param {Map<string, Node>} byId @returns {Link} */
function linkOf({ key, value }, nodes, byId) {
  const [fromEnd, toEnd] = ['from', 'to'].map((end) => string(get(value, end)) ?? '');
  const [from, to] = [fromEnd, toEnd].map((end) => resolve(end, byId) ?? missing(end, nodes, byId));
  const out = padOf(from.node.outputs, from.pad, from.node.media);
  const into = padOf(to.node.inputs, to.pad, to.node.media);
  const media = out.media || into.media;
  // The media of one pad applies to the other. Without a pad name it does not, because several links share that entry.
  if (from.pad) out.media ||= media;
  if (to.pad) into.media ||= media;
  return { key, from: from.node, to: to.node, fromPad: from.pad, toPad: to.pad, fromEnd, toEnd, media, value };
}

/** Returns the pad with this name. Adds it if no engine reported it. @param {Pad[]} pads @param {string} name @param {Media} media */
function padOf(pads, name, media) {
  let pad = pads.find((one) => one.name === name);
  if (!pad) {
    pad = { name, media: byName(name) || media };
    pads.push(pad);
  }
  return pad;
}

/**
 * Finds the node of an end: `id:pad`, `id` or `id::`. Ids may contain colons. The pad follows the last colon if a node has the id
 * before it.
 * @param {string} end @param {Map<string, Node>} byId
 */
function resolve(end, byId) {
  const colon = end.lastIndexOf(':');
  const readings = [
    end.endsWith('::') && { id: end.slice(0, -2), pad: '' },
    colon >= 0 && { id: end.slice(0, colon), pad: end.slice(colon + 1) },
    { id: end, pad: '' },
  ];
  for (const reading of readings) {
    const node = reading && byId.get(reading.id);
    if (reading && node) return { node, pad: reading.pad };
  }
  return undefined;
}

/** Adds a missing node for an end that no node has. @param {string} end @param {Node[]} nodes @param {Map<string, Node>} byId */
function missing(end, nodes, byId) {
  const colon = end.endsWith('::') ? end.length - 2 : end.lastIndexOf(':');
  const [id, pad] = colon > 0 ? [end.slice(0, colon), end.slice(colon + 1).replace(/^:/, '')] : [end, ''];
  /** @type {Node} */
  const node = {
    key: `missing ${id}`, list: 'missing', id, kind: 'no element or block has this id', title: id || '(no id)', media: '',
    position: undefined, inputs: [], outputs: [], value: undefined,
  };
  nodes.push(node);
  byId.set(id, node);
  return { node, pad };
}
