// @ts-check
// What is drawn: the nodes and links of a document, whatever condition it is in. Nothing is left out for being broken: a link
// whose end does not exist ends at a ghost, and of two nodes with one id both are there.
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

/** What people call a node of this list. */
export const NOUN = { elements: 'element', blocks: 'block', missing: 'missing node' };

/** Beyond this nothing can be drawn: an older Strom takes 1e39 for a position. */
const FAR = 1e6;

/** A node or link of a document, and where it stands there. @typedef {{ list: string, index: number, value: Value, key: string }} Entry */

/** Those of a list. @param {Value} flow @param {string} list @returns {Entry[]} */
export function entries(flow, list) {
  const items = get(flow, list)?.items ?? [];
  return items.map((value, index) => ({ list, index, value, key: `$.${list}[${index}]` }));
}

/** @param {Value} flow @returns {Model} */
export const model = (flow) => build([...entries(flow, 'elements'), ...entries(flow, 'blocks')], entries(flow, 'links'));

/** Of two nodes with one id, links end at the first. @param {Entry[]} nodeEntries @param {Entry[]} linkEntries @returns {Model} */
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

/** `[x, y]` in elements and `{x, y}` in blocks; both are taken of both. @param {Value | undefined} value */
function positionOf(value) {
  const x = number(value?.items?.[0] ?? get(value, 'x'));
  const y = number(value?.items?.[1] ?? get(value, 'y'));
  if (x === undefined || y === undefined || !(Math.abs(x) < FAR) || !(Math.abs(y) < FAR)) return undefined;
  return { x, y };
}

/** The pads that an engine reported of a block. @param {Value | undefined} list @returns {Pad[]} */
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
  const [from, to] = [fromEnd, toEnd].map((end) => resolve(end, byId) ?? ghost(end, nodes, byId));
  const out = padOf(from.node.outputs, from.pad, from.node.media);
  const into = padOf(to.node.inputs, to.pad, to.node.media);
  const media = out.media || into.media;
  // What is known at one end goes for the other; but links without a pad each have one of their own.
  if (from.pad) out.media ||= media;
  if (to.pad) into.media ||= media;
  return { key, from: from.node, to: to.node, fromPad: from.pad, toPad: to.pad, fromEnd, toEnd, media, value };
}

/** The pad of this name, which is added where nobody reported it. @param {Pad[]} pads @param {string} name @param {Media} media */
function padOf(pads, name, media) {
  let pad = pads.find((one) => one.name === name);
  if (!pad) {
    pad = { name, media: byName(name) || media };
    pads.push(pad);
  }
  return pad;
}

/**
 * An end may be `id:pad`, `id` or `id::`. An id may hold colons itself: the pad is what follows the last one, as long as
 * there is a node of the id before it.
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

/** A node for an end that names none. @param {string} end @param {Node[]} nodes @param {Map<string, Node>} byId */
function ghost(end, nodes, byId) {
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
