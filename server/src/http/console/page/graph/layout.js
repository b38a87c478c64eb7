// @ts-check
// The positions of the nodes: from the document, or from dagre if the document has none.

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./model.js').Node} Node */
/** @typedef {{ x: number, y: number, width: number, height: number }} Box */

export const WIDTH = 208;
export const HEAD = 58;
export const ROW = 20;
const GAP = 100;

/** Returns the height of a node, with a row per pad. @param {Node} node */
export const height = (node) => HEAD + ROW * Math.max(node.inputs.length, node.outputs.length, 0) + 10;

/**
 * Returns a box for each node, and the number of nodes without a position in the document.
 * @param {Model} model @returns {Promise<{ boxes: Map<Node, Box>, arranged: number }>}
 */
export async function layout(model) {
  /** @type {Map<Node, Box>} */
  const boxes = new Map();
  const given = new Set(model.nodes.flatMap(({ position: p }) => (p ? [`${p.x} ${p.y}`] : [])));
  // If all nodes have the same position, it carries no information, unless there is only one node.
  const isGiven = given.size > 1 || model.nodes.length === 1;
  const isLoose = (/** @type {Node} */ node) => !isGiven || !node.position;
  for (const node of model.nodes) {
    if (isGiven && node.position) boxes.set(node, { ...node.position, width: WIDTH, height: height(node) });
  }
  if (boxes.size > 0) placeMissing(model, boxes);
  const loose = model.nodes.filter((node) => isLoose(node) && !boxes.has(node));
  if (loose.length > 0) {
    const offset = { x: 0, y: 0 };
    if (boxes.size > 0) {
      const all = bounds(boxes.values());
      Object.assign(offset, { x: all.x, y: all.y + all.height + GAP });
    }
    for (const [node, box] of await arranged(loose, model)) {
      boxes.set(node, { ...box, x: box.x + offset.x, y: box.y + offset.y });
    }
  }
  return { boxes, arranged: loose.filter((node) => node.list !== 'missing').length };
}

/** Places a missing node next to a node that is linked to it, below other nodes. @param {Model} model @param {Map<Node, Box>} boxes */
function placeMissing(model, boxes) {
  for (const { from, to } of model.links) {
    const [missing, node] = from.list === 'missing' ? [from, to] : [to, from];
    const near = boxes.get(node);
    if (missing.list !== 'missing' || boxes.has(missing) || !near) continue;
    const x = near.x + (missing === to ? 1 : -1) * (WIDTH + GAP);
    const box = { x, y: near.y, width: WIDTH, height: height(missing) };
    for (let other; (other = [...boxes.values()].find((one) => overlap(one, box))); ) box.y = other.y + other.height + GAP / 4;
    boxes.set(missing, box);
  }
}

/** @param {Box} a @param {Box} b */
const overlap = (a, b) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

/** @param {Iterable<Box>} boxes @returns {Box} */
export function bounds(boxes) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const box of boxes) {
    left = Math.min(left, box.x);
    top = Math.min(top, box.y);
    right = Math.max(right, box.x + box.width);
    bottom = Math.max(bottom, box.y + box.height);
  }
  return right < left ? { x: 0, y: 0, width: 1, height: 1 } : { x: left, y: top, width: right - left, height: bottom - top };
}

/** @param {Node[]} nodes @param {Model} model @returns {Promise<Map<Node, Box>>} */
function arranged(nodes, model) {
  const worker = new Worker(new URL('./arrange.js', import.meta.url), { type: 'module' });
  const sizes = nodes.map((node) => ({ key: node.key, width: WIDTH, height: height(node) }));
  const links = model.links.map(({ key, from, to }) => ({ key, from: from.key, to: to.key }));
  /** @type {Promise<Map<Node, Box>>} */
  const boxes = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(new Map(nodes.map((node, index) => [node, data[index]])));
    worker.onerror = (event) => reject(new Error(event.message || 'the layout could not be loaded'));
  });
  worker.postMessage({ sizes, links });
  return boxes.finally(() => worker.terminate());
}
