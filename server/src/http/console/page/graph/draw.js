// @ts-check
// Draws nodes and links as SVG. Shapes and words repeat everything that colours show.
import { count } from '../parts/count.js';
import { HEAD, ROW } from './layout.js';
import { NOUN } from './model.js';
import { short, svg } from './svg.js';

/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./model.js').Link} Link */
/** @typedef {import('./layout.js').Box} Box */
/** @typedef {{ kind: string, words: string[] } | undefined} Mark */

const SIGN = { added: '+', removed: '−', changed: '~', moved: '→' };

/** Returns the vertical position of a pad, relative to the corner of its node. @param {number} row */
export const padY = (row) => HEAD + ROW * row + ROW / 2;

/** @param {Node} node @param {Box} box @param {string[]} warnings @param {Mark} mark */
export function drawNode(node, box, warnings, mark) {
  const { width, height } = box;
  const classes = ['node', node.list, node.media && `media-${node.media}`, mark && `mark-${mark.kind}`].filter(Boolean).join(' ');
  const { inputs, outputs } = node;
  const group = svg('g', {
    class: classes, transform: `translate(${box.x} ${box.y})`, tabindex: -1, role: 'button', 'aria-pressed': 'false',
    'aria-label': describe(node, warnings, mark), 'data-key': node.key,
  });
  group.append(
    ...outline(node, width, height),
    svg('text', { class: 'tag', x: 12, y: 15.5 }, NOUN[node.list]),
    svg('text', { class: 'title', x: 12, y: 38 }, short(node.title, 24)),
    svg('text', { class: 'kind', x: 12, y: 52 }, short(node.kind || 'no type', 32)),
    ...inputs.flatMap((pad, row) => drawPad(pad, 0, padY(row), 'in', width, outputs.length > row)),
    ...outputs.flatMap((pad, row) => drawPad(pad, width, padY(row), 'out', width, inputs.length > row)),
  );
  if (warnings.length > 0) group.append(badge(width - 12, warnings.length));
  if (mark) group.append(sign(mark, width));
  group.append(svg('title', {}, [`${node.title} (${node.kind})`, ...warnings, ...(mark?.words ?? [])].join('\n')));
  return group;
}

/** Elements have square corners, blocks have round corners and a band, missing nodes are dashed. @param {Node} node @param {number} width @param {number} height */
function outline(node, width, height) {
  const body = svg('rect', { class: 'body', width, height, rx: { elements: 2, blocks: 12, missing: 6 }[node.list] });
  if (node.list !== 'blocks') return [body];
  const band = svg('path', { class: 'band', d: `M12 1H${width - 12}a11 11 0 0 1 11 11V22H1V12A11 11 0 0 1 12 1Z` });
  return [body, band];
}

/** Video is a square, audio a circle, data a diamond, and unknown media a hollow circle. @param {string} media @param {number} x @param {number} y */
export function shape(media, x, y) {
  const common = { class: `pad media-${media || 'unknown'}` };
  if (media === 'video') return svg('rect', { ...common, x: x - 5, y: y - 5, width: 10, height: 10 });
  if (media === 'data') return svg('path', { ...common, d: `M${x} ${y - 6}l6 6-6 6-6-6z` });
  return svg('circle', { ...common, cx: x, cy: y, r: media ? 5.5 : 4.5 });
}

/**
 * @param {import('./model.js').Pad} pad @param {number} x @param {number} y @param {'in' | 'out'} way @param {number} width
 * @param {boolean} isShared whether there is a pad on the other side of the row
 */
function drawPad(pad, x, y, way, width, isShared) {
  const most = Math.floor((isShared ? width / 2 : width) / 7) - 3;
  const at = way === 'in' ? 12 : width - 12;
  return [
    shape(pad.media, x, y),
    svg('text', { class: `pad-name ${way}`, x: at, y: y + 4 }, short(pad.name, most)),
  ];
}

/** @param {number} right @param {number} count */
function badge(right, count) {
  return svg('g', { class: 'warning', transform: `translate(${right - 34} -11)` },
    svg('rect', { width: 42, height: 22, rx: 11 }),
    svg('path', { d: 'M14 4.5l7 12.5h-14z' }),
    svg('path', { class: 'cut', d: 'M14 9v4M14 14.7v.3' }),
    svg('text', { x: 31, y: 15.5 }, String(count)));
}

/** @param {NonNullable<Mark>} mark @param {number} width */
function sign({ kind }, width) {
  const word = `${SIGN[/** @type {keyof typeof SIGN} */ (kind)]} ${kind}`;
  return svg('g', { class: `sign mark-${kind}`, transform: `translate(${width / 2 - 43} -17)` },
    svg('rect', { width: 86, height: 22, rx: 4 }),
    svg('text', { x: 43, y: 15.5 }, word));
}

/** Describes a node in words, for screen readers. @param {Node} node @param {string[]} warnings @param {Mark} mark */
export function describe(node, warnings, mark) {
  return [
    `${NOUN[node.list]} ${node.title}`, node.kind, mark && mark.kind,
    `${count(node.inputs.length, 'input')}, ${count(node.outputs.length, 'output')}`,
    warnings.length > 0 && `${count(warnings.length, 'warning')}: ${warnings.join('; ')}`,
  ].filter(Boolean).join(', ');
}

/** @param {Link} link @param {Map<Node, Box>} boxes @param {string[]} warnings @param {Mark} mark */
export function drawLink(link, boxes, warnings, mark) {
  const { d, middle } = course(link, boxes);
  const isBroken = link.from.list === 'missing' || link.to.list === 'missing';
  const classes = ['link', `media-${link.media || 'unknown'}`, isBroken && 'broken', mark && `mark-${mark.kind}`].filter(Boolean).join(' ');
  const words = mark ? `${SIGN[/** @type {keyof typeof SIGN} */ (mark.kind)]} ${mark.kind}` : isBroken ? 'missing end' : link.media;
  return svg('g', { class: classes, 'data-key': link.key },
    svg('path', { class: 'grip', d }),
    svg('path', { class: 'line', d }),
    words !== '' && svg('text', { x: middle.x, y: middle.y - 5 }, words),
    svg('title', {}, [`${link.fromEnd} to ${link.toEnd}`, link.media || 'unknown media', ...warnings, ...(mark?.words ?? [])].join('\n')));
}

/** Returns the curve of a link, from pad to pad. @param {Link} link @param {Map<Node, Box>} boxes */
function course(link, boxes) {
  const [from, to] = [/** @type {Box} */ (boxes.get(link.from)), /** @type {Box} */ (boxes.get(link.to))];
  const row = (/** @type {import('./model.js').Pad[]} */ pads, /** @type {string} */ name) => padY(Math.max(0, pads.findIndex((pad) => pad.name === name)));
  const [x1, y1] = [from.x + from.width, from.y + row(link.from.outputs, link.fromPad)];
  const [x2, y2] = [to.x, to.y + row(link.to.inputs, link.toPad)];
  const bend = Math.max(30, Math.min(160, Math.abs(x2 - x1) / 2 + (x2 < x1 ? 60 : 0)));
  const d = `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  return { d, middle: { x: (x1 + x2) / 2, y: (y1 + y2) / 2 } };
}

/** Draws the previous position of a node and a line to the current one. @param {import('./model.js').Point} was @param {Box} box */
export function drawMove(was, box) {
  const [cx, cy] = [box.width / 2, box.height / 2];
  return svg('g', { class: 'former', 'aria-hidden': 'true' },
    svg('rect', { x: was.x, y: was.y, width: box.width, height: box.height, rx: 6 }),
    svg('text', { x: was.x + 12, y: was.y + 20 }, 'was here'),
    svg('path', { d: `M${was.x + cx} ${was.y + cy}L${box.x + cx} ${box.y + cy}` }));
}
