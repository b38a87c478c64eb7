// @ts-check
import { steps } from '../json/path.js';

/**
 * What is suspicious, by the node or link that it is about; under `$` what is about the flow. What is about the end of a link
 * also stands on what is missing there.
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
