// @ts-check
// The drawn graph. This class creates the SVG elements itself; Preact only provides the container.
import { Camera } from './camera.js';
import { drawLink, drawMove, drawNode } from './draw.js';
import { gestures, key } from './gestures.js';
import { bounds } from './layout.js';
import { svg } from './svg.js';

/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./layout.js').Box} Box */
/**
 * @typedef {{ model: import('./model.js').Model, boxes: Map<Node, Box>, warnings: Map<string, string[]>,
 *   marks?: Map<string, import('./compare.js').Mark>, was?: Map<string, import('./model.js').Point> }} Scene
 */

export class View {
  /** @param {HTMLElement} host @param {(key: string | undefined) => void} onSelect */
  constructor(host, onSelect) {
    this.host = host;
    this.onSelect = onSelect;
    this.group = /** @type {SVGGElement} */ (svg('g'));
    this.svg = /** @type {SVGSVGElement} */ (svg('svg', { role: 'group' }, this.group));
    this.camera = new Camera(this.svg, this.group);
    /** @type {Scene | undefined} */
    this.scene = undefined;
    /** @type {Map<string, Element>} */
    this.drawn = new Map();
    this.isFitted = true;
    host.append(this.svg);
    gestures(host, this.camera);
    host.addEventListener('click', (event) => this.onSelect(keyOf(event.target)));
    host.addEventListener('keydown', (event) => this.onKey(event));
    host.addEventListener('focusin', (event) => this.onFocus(keyOf(event.target)));
    for (const moved of ['wheel', 'pointermove']) {
      host.addEventListener(moved, (event) => { if (moved === 'wheel' || host.classList.contains('moving')) this.isFitted = false; }, { passive: true });
    }
    this.resizes = new ResizeObserver(() => this.isFitted && this.fit());
    this.resizes.observe(host);
  }

  close() {
    this.resizes.disconnect();
    this.svg.remove();
  }

  /** @param {Scene} scene @param {string} label @param {boolean} keepsView keeps pan and zoom, for an update of the same content */
  show(scene, label, keepsView) {
    this.scene = scene;
    const { model, boxes, warnings, marks, was } = scene;
    const links = model.links.map((link) => drawLink(link, boxes, warnings.get(link.key) ?? [], marks?.get(link.key)));
    const moves = model.nodes.flatMap((node) => {
      const [from, box] = [was?.get(node.key), boxes.get(node)];
      return from && box ? [drawMove(from, box)] : [];
    });
    const nodes = model.nodes.map((node) =>
      drawNode(node, /** @type {Box} */ (boxes.get(node)), warnings.get(node.key) ?? [], marks?.get(node.key)));
    this.group.replaceChildren(...moves, ...links, ...nodes);
    this.drawn = new Map([...links, ...nodes].map((element) => [element.getAttribute('data-key') ?? '', element]));
    // Tab reaches only one node, and arrow keys continue from there. Otherwise Tab would stop at each of 500 nodes.
    nodes[0]?.setAttribute('tabindex', '0');
    this.svg.setAttribute('aria-label', label);
    if (!keepsView) this.isFitted = true;
    if (this.isFitted) this.fit();
  }

  fit() {
    if (!this.scene) return;
    const { boxes, was } = this.scene;
    const former = [...(was ?? [])].map(([, place]) => ({ ...place, width: 200, height: 80 }));
    this.camera.fit(bounds([...boxes.values(), ...former]));
    this.isFitted = true;
  }

  /** @param {number} factor */
  zoom(factor) {
    this.isFitted = false;
    this.camera.zoom(factor);
  }

  /** @param {string | undefined} selected @param {boolean} [shows] whether the view moves to it */
  select(selected, shows) {
    for (const [key, element] of this.drawn) {
      const isIt = key === selected;
      element.classList.toggle('selected', isIt);
      if (element.hasAttribute('aria-pressed')) element.setAttribute('aria-pressed', String(isIt));
    }
    if (shows && selected) this.reveal(selected);
  }

  /** @param {string} key */
  reveal(key) {
    const node = this.scene?.model.nodes.find((one) => one.key === key);
    const box = node && this.scene?.boxes.get(node);
    if (!box) return;
    this.isFitted = false;
    this.camera.reveal(box);
  }

  /** @param {string | undefined} key */
  onFocus(key) {
    const element = key && this.drawn.get(key);
    if (!element) return;
    for (const other of this.group.querySelectorAll('[tabindex="0"]')) other.setAttribute('tabindex', '-1');
    element.setAttribute('tabindex', '0');
    if (element.matches(':focus-visible')) this.reveal(key);
  }

  /** On a node, arrow keys go to the nearest node in their direction. Otherwise they pan. @param {KeyboardEvent} event */
  onKey(event) {
    const focused = keyOf(event.target);
    const isHandled = focused === undefined || !event.key.startsWith('Arrow') ? this.onViewKey(event, focused) : this.step(focused, event.key);
    if (isHandled) event.preventDefault();
  }

  /** @param {KeyboardEvent} event @param {string | undefined} focused */
  onViewKey(event, focused) {
    if (focused !== undefined && (event.key === 'Enter' || event.key === ' ')) {
      this.onSelect(focused);
      return true;
    }
    if (event.key === 'Escape') {
      this.onSelect(undefined);
      this.host.focus();
      return true;
    }
    const isHandled = key(event, this.camera, () => this.fit());
    if (isHandled) this.isFitted = event.key === '0';
    return isHandled;
  }

  /** @param {string} from @param {string} arrow */
  step(from, arrow) {
    const next = this.scene && nearest(this.scene, from, arrow);
    if (next) /** @type {SVGElement} */ (this.drawn.get(next.key)).focus();
    return true;
  }
}

/** Returns the node or link that an SVG element belongs to. @param {EventTarget | null} target */
const keyOf = (target) => (target instanceof Element ? target.closest('[data-key]')?.getAttribute('data-key') ?? undefined : undefined);

/** Returns the nearest node in the direction of an arrow key. Sideways distance counts 2.5 times. @param {Scene} scene @param {string} from @param {string} arrow */
function nearest({ boxes }, from, arrow) {
  const middle = (/** @type {Box} */ box) => ({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
  const here = [...boxes].find(([node]) => node.key === from);
  if (!here) return undefined;
  const { x, y } = middle(here[1]);
  let [found, least] = [/** @type {Node | undefined} */ (undefined), Infinity];
  for (const [node, box] of boxes) {
    const [dx, dy] = [middle(box).x - x, middle(box).y - y];
    const isAcross = arrow === 'ArrowLeft' || arrow === 'ArrowRight';
    const ahead = isAcross ? dx : dy;
    const way = arrow === 'ArrowLeft' || arrow === 'ArrowUp' ? -ahead : ahead;
    const distance = way + 2.5 * Math.abs(isAcross ? dy : dx);
    if (node.key !== from && way > 1 && distance < least) [found, least] = [node, distance];
  }
  return found;
}
