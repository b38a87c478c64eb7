// @ts-check
// Two revisions in one picture: the newer one with what was removed from the older, and a mark on everything that differs.
// What differs the server tells; here it is only found again in the picture.
import { steps } from '../json/path.js';
import { build, entries } from './model.js';

/** @typedef {import('../json/parse.js').Value} Value */
/** @typedef {{ path: string, kind: 'added' | 'removed' | 'changed' | 'moved', words: string }} Change */
/** @typedef {{ kind: Change['kind'], words: string[] }} Mark */

const LISTS = ['elements', 'blocks', 'links'];
/** What a node is marked with to which several things happened. */
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
    // A node that got a property was changed, not added.
    const kind = change.kind === 'moved' || steps(change.path).length === 2 ? change.kind : 'changed';
    const mark = marks.get(key) ?? { kind, words: [] };
    if (WEIGHT[kind] > WEIGHT[mark.kind]) mark.kind = kind;
    mark.words.push(change.words);
    marks.set(key, mark);
  }
  const gone = (/** @type {string} */ list) =>
    entries(older, list).map((entry) => ({ ...entry, key: was(entry.key) })).filter(({ key }) => marks.has(key));
  const lists = ['elements', 'blocks'];
  // The newer first: of two nodes with one id, links end at the first.
  const nodes = [...lists.flatMap((list) => entries(newer, list)), ...lists.flatMap(gone)];
  const model = build(nodes, [...entries(newer, 'links'), ...gone('links')]);
  return { model, marks, was: formerly(older, model, marks), keyOf };
}

const was = (/** @type {string} */ key) => `was ${key}`;

/** The node or link that a change is about. Paths are those of the newer document; of what was removed, of the older. @param {Change} change */
function keyOf({ path, kind }) {
  const [list, index, ...inside] = steps(path);
  if (!LISTS.includes(String(list)) || typeof index !== 'number') return undefined;
  const key = `$.${list}[${index}]`;
  return kind === 'removed' && inside.length === 0 ? was(key) : key;
}

/** Where the nodes stood that were moved. @param {Value} older @param {import('./model.js').Model} model @param {Map<string, Mark>} marks */
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
