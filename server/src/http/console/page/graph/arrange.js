// @ts-check
// A worker that computes the layout. dagre may need seconds for a large flow, and the page must stay responsive. dagre is not a
// module: it adds its name to the global object.
import '../vendor/dagre.min.js';

/** Above this number of nodes, the faster ranker of dagre is used. Its result is almost as good. */
const MANY = 200;

/** @typedef {{ key: string, width: number, height: number }} Size */

addEventListener('message', ({ data }) => {
  /** @type {{ sizes: Size[], links: { key: string, from: string, to: string }[] }} */
  const { sizes, links } = data;
  const { graphlib, layout } = /** @type {any} */ (globalThis).dagre;
  const graph = new graphlib.Graph({ multigraph: true });
  const ranker = sizes.length > MANY ? 'tight-tree' : 'network-simplex';
  graph.setGraph({ rankdir: 'LR', ranksep: 90, nodesep: 36, ranker });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { key, width, height } of sizes) graph.setNode(key, { width, height });
  for (const { key, from, to } of links) if (graph.hasNode(from) && graph.hasNode(to)) graph.setEdge(from, to, {}, key);
  layout(graph);
  // dagre returns the centre of each node.
  postMessage(sizes.map(({ key, width, height }) => {
    const { x, y } = graph.node(key);
    return { x: x - width / 2, y: y - height / 2, width, height };
  }));
});
