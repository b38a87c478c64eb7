// @ts-check
// A graph with its buttons, its legend, and a list of the same content.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../vendor/preact.js';
import { ZOOM } from './gestures.js';
import { layout } from './layout.js';
import { Legend } from './legend.js';
import { InWords } from './words.js';
import { View } from './view.js';

/** @typedef {import('./view.js').Scene} Scene */

/**
 * `scene` identifies the content. If it stays the same, an update keeps pan and zoom.
 * @param {{ model: import('./model.js').Model, warnings?: Map<string, string[]>, marks?: Scene['marks'], was?: Scene['was'],
 *   title: string, scene: string, selected?: string, onSelect: (key: string | undefined) => void }} props
 */
export function Graph({ model, warnings, marks, was, title, scene, selected, onSelect }) {
  const host = useRef(/** @type {HTMLElement | null} */ (null));
  const view = useRef(/** @type {View | null} */ (null));
  const select = useRef(onSelect);
  select.current = onSelect;
  const [arranged, setArranged] = useState(0);
  const [failure, setFailure] = useState('');
  const [isBusy, setBusy] = useState(true);
  const nothing = useMemo(() => new Map(), []);
  const shown = useRef('');

  useLayoutEffect(() => {
    view.current = new View(/** @type {HTMLElement} */ (host.current), (key) => select.current(key));
    return () => view.current?.close();
  }, []);
  useEffect(() => {
    let isCurrent = true;
    setBusy(true);
    layout(model).then(({ boxes, arranged: count }) => {
      if (!isCurrent || !view.current) return;
      const label = `Graph of ${title}: ${model.nodes.length} nodes, ${model.links.length} links`;
      view.current.show({ model, boxes, warnings: warnings ?? nothing, marks, was }, label, shown.current === scene);
      view.current.select(selected);
      shown.current = scene;
      setArranged(count);
      setFailure('');
      setBusy(false);
    }).catch((error) => {
      setFailure(error.message);
      setBusy(false);
    });
    return () => {
      isCurrent = false;
    };
  }, [model, warnings, marks, was, title, scene]);
  useEffect(() => view.current?.select(selected, true), [selected]);

  const zoom = (/** @type {number} */ factor) => () => view.current?.zoom(factor);
  return html`
    <section class="graph" aria-label="Graph">
      <div class="graph-view" ref=${host} tabindex="0" role="application" aria-busy=${isBusy}
        aria-label="Graph. Arrow keys pan, plus and minus zoom, 0 fits the graph. Tab enters the nodes: there, arrow keys go from node to node, and Enter selects."></div>
      <div class="graph-buttons" role="group" aria-label="Zoom">
        <button type="button" title="Zoom in (+)" aria-label="Zoom in" onClick=${zoom(ZOOM)}>+</button>
        <button type="button" title="Zoom out (-)" aria-label="Zoom out" onClick=${zoom(1 / ZOOM)}>−</button>
        <button type="button" class="fit" title="Fit the graph (0)" onClick=${() => view.current?.fit()}>Fit</button>
      </div>
      ${model.nodes.length === 0 && html`<p class="graph-empty">This flow has no elements and no blocks.</p>`}
      ${isBusy && shown.current === '' && model.nodes.length > 0 && html`<p class="graph-empty" role="status">Arranging the nodes…</p>`}
      ${failure && html`<p class="graph-empty" role="alert">The graph cannot be drawn: ${failure}</p>`}
      <${Legend} hasMoved=${Boolean(was?.size)} model=${model} />
      ${arranged > 0 && model.nodes.length > 1 && html`<p class="graph-note">${arrangedNote(arranged, model)}</p>`}
      <${InWords} model=${model} warnings=${warnings ?? nothing} marks=${marks} onSelect=${onSelect} />
    </section>`;
}

/** @param {number} arranged @param {import('./model.js').Model} model */
function arrangedNote(arranged, model) {
  const all = model.nodes.filter((node) => node.list !== 'missing').length;
  if (arranged >= all) return 'The nodes have no positions in the flow. The console arranged them; the arrangement is not stored.';
  return `${arranged} of ${all} nodes have no position in the flow. The console placed them below the others; their positions are not stored.`;
}
