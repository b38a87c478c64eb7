// @ts-check
// JSON paths as the server prints them: `$.elements[0].properties['is-live']`.
import { get } from './parse.js';

/** @typedef {import('./parse.js').Value} Value */

const STEP = /\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]/y;

/** Returns the names and indexes of a path, up to the first part that is not valid. @param {string} path @returns {(string | number)[]} */
export function steps(path) {
  const found = [];
  let at = path.startsWith('$') ? 1 : 0;
  while (at < path.length) {
    STEP.lastIndex = at;
    const step = STEP.exec(path);
    if (!step) break;
    at += step[0].length;
    if (step[2] !== undefined) found.push(Number(step[2]));
    else found.push(step[1] ?? step[3].replace(/\\(.)/g, '$1'));
  }
  return found;
}

/**
 * Returns the value at a path. If it is missing, returns the innermost existing value around it.
 * @param {Value} value @param {string} path @returns {Value}
 */
export function at(value, path) {
  let here = value;
  for (const step of steps(path)) {
    const next = typeof step === 'number' ? here.items?.[step] : get(here, step);
    if (!next) break;
    here = next;
  }
  return here;
}

/** @param {string} text @param {number} offset @returns {{ line: number, column: number }} counted from 1 */
export function position(text, offset) {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return { line, column: [...before.slice(before.lastIndexOf('\n') + 1)].length + 1 };
}
