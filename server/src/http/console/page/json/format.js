// @ts-check
import { source } from './parse.js';

/** @typedef {import('./parse.js').Value} Value */

/** An array of scalars, such as a position, stays on one line up to this length. */
const LINE = 72;

/** Formats a value with an indentation of two spaces. Numbers and strings keep their exact text. @param {Value} value */
export function format(value, indent = '') {
  const inner = `${indent}  `;
  if (value.kind === 'object') {
    const members = value.members ?? [];
    if (members.length === 0) return '{}';
    const lines = members.map(({ start, value: member }) => {
      const name = value.text.slice(start, endOfName(value.text, start) + 1);
      return `${inner}${name}: ${format(member, inner)}`;
    });
    return `{\n${lines.join(',\n')}\n${indent}}`;
  }
  if (value.kind === 'array') {
    const items = value.items ?? [];
    const short = items.every((item) => item.kind !== 'object' && item.kind !== 'array') && `[${items.map(source).join(', ')}]`;
    if (short && short.length <= LINE) return short;
    return `[\n${items.map((item) => inner + format(item, inner)).join(',\n')}\n${indent}]`;
  }
  return source(value);
}

/** Returns the position of the closing quote of the name that begins at `start`. @param {string} text @param {number} start */
function endOfName(text, start) {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}
