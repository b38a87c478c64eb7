// @ts-check
import { source } from './parse.js';

/** @typedef {import('./parse.js').Value} Value */

/** A list of plain values, such as a position, stays on one line up to this length. */
const LINE = 72;

/** A value in lines, members indented by two spaces; numbers and strings as they were written. @param {Value} value */
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

/** Where the name that begins at `start` has its last quote. @param {string} text @param {number} start */
function endOfName(text, start) {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}
