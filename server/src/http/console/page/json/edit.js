// @ts-check
// Replaces single strings in a JSON text. The rest of the text stays unchanged.
import { get, parse } from './parse.js';

/** @typedef {import('./parse.js').Value} Value */

/**
 * Returns the text with a new name or description.
 * @param {string} text @param {'name' | 'description'} member @param {string} value
 */
export function withMember(text, member, value) {
  const flow = parse(text);
  const json = JSON.stringify(value);
  if (member === 'name') return put(text, flow, 'name', json);
  const properties = get(flow, 'properties');
  if (properties?.kind === 'object') return put(text, properties, 'description', json);
  return put(text, flow, 'properties', `{\n    "description": ${json}\n  }`);
}

/** @param {string} text @param {Value} object @param {string} name @param {string} json */
function put(text, object, name, json) {
  const present = get(object, name);
  if (present) return text.slice(0, present.start) + json + text.slice(present.end);
  const members = object.members ?? [];
  const last = members.at(-1);
  if (!last) return `${text.slice(0, object.start)}{ ${JSON.stringify(name)}: ${json} }${text.slice(object.end)}`;
  // With the indentation of the previous member.
  const lineStart = text.lastIndexOf('\n', last.start) + 1;
  const lead = text.slice(lineStart, last.start);
  const between = lead.trim() === '' && lineStart > 0 ? `,\n${lead}` : ', ';
  return `${text.slice(0, last.value.end)}${between}${JSON.stringify(name)}: ${json}${text.slice(last.value.end)}`;
}
