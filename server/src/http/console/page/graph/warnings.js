// @ts-check
import { steps } from '../json/path.js';

/**
 * Groups warnings by the key of their node or link; the key `$` is the flow. A warning about an end of a link also belongs to the
 * missing node at that end.
 * @param {{ path: string, message: string }[]} list @param {import('./model.js').Model} model @returns {Map<string, string[]>}
 */
export function warningsOf(list, model) {
  /** @type {Map<string, string[]>} */
  const found = new Map();
  const add = (/** @type {string} */ key, /** @type {string} */ words) => {
    found.set(key, [...(found.get(key) ?? []), words]);
  };
  for (const { path, message } of list) {
    const [name, index, ...inside] = steps(path);
    if (!['elements', 'blocks', 'links'].includes(String(name)) || typeof index !== 'number') {
      add('$', `${path}: ${message}`);
      continue;
    }
    const key = `$.${name}[${index}]`;
    add(key, inside.length > 0 ? `${steps(path).slice(2).join('.')}: ${message}` : message);
    const link = model.links.find((one) => one.key === key);
    const end = link && (inside[0] === 'from' ? link.from : link.to);
    if (end?.list === 'missing') add(end.key, message);
  }
  return found;
}
