// @ts-check
// Maps wheel, mouse, touch and keys to movements of the camera.

/** @typedef {import('./camera.js').Camera} Camera */

/** A pointer that moves less than this is a click, in pixels. */
const SLACK = 4;
const STEP = 60;
export const ZOOM = 1.25;

/** @param {HTMLElement} host @param {Camera} camera */
export function gestures(host, camera) {
  /** @type {Map<number, { x: number, y: number }>} */
  const pointers = new Map();
  let travelled = 0;

  const place = (/** @type {{ clientX: number, clientY: number }} */ event) => {
    const { left, top } = host.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  /** The centre of the pointers, and the distance between them. */
  const grip = () => {
    const [a, b = a] = [...pointers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
  };

  host.addEventListener('wheel', (event) => {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const { x, y } = place(event);
    // Browsers report a pinch on a touchpad as a wheel event with Ctrl and small steps.
    camera.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)), x, y);
  }, { passive: false });

  host.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || pointers.size > 1) return;
    if (pointers.size === 0) travelled = 0;
    pointers.set(event.pointerId, place(event));
  });
  host.addEventListener('pointermove', (event) => {
    if (!pointers.has(event.pointerId)) return;
    const before = grip();
    pointers.set(event.pointerId, place(event));
    const after = grip();
    travelled += Math.hypot(after.x - before.x, after.y - before.y) + Math.abs(after.apart - before.apart);
    if (travelled <= SLACK) return;
    // Not earlier, because a captured pointer does not click.
    host.setPointerCapture(event.pointerId);
    host.classList.add('moving');
    camera.pan(after.x - before.x, after.y - before.y);
    if (before.apart > 0 && after.apart > 0) camera.zoom(after.apart / before.apart, after.x, after.y);
  });
  for (const end of ['pointerup', 'pointercancel']) {
    host.addEventListener(end, (event) => {
      pointers.delete(/** @type {PointerEvent} */ (event).pointerId);
      if (pointers.size === 0) host.classList.remove('moving');
    });
  }
  host.addEventListener('click', (event) => {
    if (travelled > SLACK) event.stopPropagation();
  }, { capture: true });
}

/** Handles a key. Returns whether the key has a meaning. @param {KeyboardEvent} event @param {Camera} camera @param {() => void} fit */
export function key(event, camera, fit) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  /** @type {Record<string, () => void>} */
  const does = {
    '+': () => camera.zoom(ZOOM), '=': () => camera.zoom(ZOOM), '-': () => camera.zoom(1 / ZOOM), '0': fit,
    ArrowLeft: () => camera.pan(STEP, 0), ArrowRight: () => camera.pan(-STEP, 0),
    ArrowUp: () => camera.pan(0, STEP), ArrowDown: () => camera.pan(0, -STEP),
  };
  if (!Object.hasOwn(does, event.key)) return false;
  does[event.key]();
  return true;
}
