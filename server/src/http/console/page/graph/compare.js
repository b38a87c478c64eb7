// @ts-check
// Two revisions in one graph: the newer revision, plus the nodes and links that it lacks, with a mark on every difference. The
// server computes the differences; this file maps them to nodes and links.
import { steps } from '../json/path.js';
import { build, entries } from './model.js';

/** @typedef {import('../json/parse.js').Value} Value */
/** @typedef {{ path: string, kind: 'added' | 'removed' | 'changed' | 'moved', words: string }} Change */
/** @typedef {{ kind: Change['kind'], words: string[] }} Mark */

const LISTS = ['elements', 'blocks', 'links'];
/** Of several changes to one node, the heaviest determines its mark. */
const WEIGHT = { moved: 0, changed: 1, added: 2, removed: 2 };

/**
 * @param {Value} older @param {Value} newer @param {Change[]} changes
 * @returns {{ model: import('./model.js').Model, marks: Map<string, Mark>, was: Map<string, import('./model.js').Point>, keyOf: (change: Change) => string | undefined }}
 */
export function compared(older, newer, changes) {
  /** @type {Map<string, Mark>} */
  const marks = new Map();
  for (const change of changes) {
    const key = keyOf(change);
    if (!key) continue;
    // A node with an added property was changed, not added.
    const kind = change.kind === 'moved' || steps(change.path).length === 2 ? change.kind : 'changed';
    const mark = marks.get(key) ?? { kind, words: [] };
    if (WEIGHT[kind] > WEIGHT[mark.kind]) mark.kind = kind;
    mark.words.push(change.words);
    marks.set(key, mark);
  }
  const removed = (/** @type {string} */ list) =>
    entries(older, list).map((entry) => ({ ...entry, key: was(entry.key) })).filter(({ key }) => marks.has(key));
  const lists = ['elements', 'blocks'];
  // The newer revision first: if two nodes have the same id, links end at the first.
  const nodes = [...lists.flatMap((list) => entries(newer, list)), ...lists.flatMap(removed)];
  const model = build(nodes, [...entries(newer, 'links'), ...removed('links')]);
  return { model, marks, was: formerly(older, model, marks), keyOf };
}

const was = (/** @type {string} */ key) => `was ${key}`;

/** Returns the node or link of a change. Paths refer to the newer document, paths of removals to the older one. @param {Change} change */
function keyOf({ path, kind }) {
  const [list, index, ...inside] = steps(path);
  if (!LISTS.includes(String(list)) || typeof index !== 'number') return undefined;
  const key = `$.${list}[${index}]`;
  return kind === 'removed' && inside.length === 0 ? was(key) : key;
}

/** Returns the previous positions of moved nodes. @param {Value} older @param {import('./model.js').Model} model @param {Map<string, Mark>} marks */
function formerly(older, model, marks) {
  const before = build([...entries(older, 'elements'), ...entries(older, 'blocks')], []).nodes;
  const places = new Map(before.map((node) => [`${node.list} ${node.id}`, node.position]));
  /** @type {Map<string, import('./model.js').Point>} */
  const found = new Map();
  for (const node of model.nodes) {
    const [mark, place] = [marks.get(node.key), places.get(`${node.list} ${node.id}`)];
    const hasMoved = place && node.position && (place.x !== node.position.x || place.y !== node.position.y);
    if (mark && mark.kind !== 'removed' && hasMoved) found.set(node.key, place);
  }
  return found;
}
