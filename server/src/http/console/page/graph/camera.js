// @ts-check
// Pan and zoom of the graph, by one transform on one group.

/** @typedef {import('./layout.js').Box} Box */

const [LEAST, MOST] = [0.04, 3];
/** Below this scale, small text is hidden: it is unreadable and slow to draw. */
const FAR = 0.5;
const MARGIN = 36;

export class Camera {
  /** @param {SVGSVGElement} svg @param {SVGGElement} group */
  constructor(svg, group) {
    this.svg = svg;
    this.group = group;
    this.x = 0;
    this.y = 0;
    this.scale = 1;
    this.frame = 0;
  }

  get size() {
    return { width: this.svg.clientWidth || 1, height: this.svg.clientHeight || 1 };
  }

  /** @param {number} dx @param {number} dy in pixels of the screen */
  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.apply();
  }

  /** Zooms around a point of the view, which keeps its position. @param {number} factor */
  zoom(factor, x = this.size.width / 2, y = this.size.height / 2) {
    const scale = Math.min(MOST, Math.max(LEAST, this.scale * factor));
    const real = scale / this.scale;
    this.x = x - (x - this.x) * real;
    this.y = y - (y - this.y) * real;
    this.scale = scale;
    this.apply();
  }

  /** Fits this box into the view, at most in its original size. @param {Box} all */
  fit(all) {
    const { width, height } = this.size;
    const scale = Math.min((width - 2 * MARGIN) / all.width, (height - 2 * MARGIN) / all.height, 1);
    this.scale = Math.max(LEAST, scale);
    this.x = (width - all.width * this.scale) / 2 - all.x * this.scale;
    this.y = (height - all.height * this.scale) / 2 - all.y * this.scale;
    this.apply();
  }

  /** Moves the view as little as needed to show this box. @param {Box} box */
  reveal(box) {
    const { width, height } = this.size;
    const [left, top] = [box.x * this.scale + this.x, box.y * this.scale + this.y];
    const shift = (/** @type {number} */ start, /** @type {number} */ length, /** @type {number} */ space) =>
      start < MARGIN ? MARGIN - start : start + length > space - MARGIN ? Math.max(MARGIN - start, space - MARGIN - start - length) : 0;
    const [dx, dy] = [shift(left, box.width * this.scale, width), shift(top, box.height * this.scale, height)];
    if (dx || dy) this.pan(dx, dy);
  }

  /** Applies the transform once per frame, for any number of events. */
  apply() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.group.setAttribute('transform', `translate(${this.x} ${this.y}) scale(${this.scale})`);
      this.svg.classList.toggle('far', this.scale < FAR);
      this.svg.dataset.scale = this.scale.toFixed(3);
    });
  }
}
