// @ts-check
// Parses JSON into ranges of its text. `JSON.parse` turns 1.10 into 1.1, and 2^64+1 into 18446744073709552000. The console must
// preserve numbers exactly. The ranges also let the editor mark a value.

/**
 * @typedef {{ kind: 'object' | 'array' | 'string' | 'number' | 'word', text: string, start: number, end: number,
 *   members?: { name: string, start: number, value: Value }[], items?: Value[] }} Value
 */

/** The error of a text that is not valid JSON, with its position. */
export class NotJson extends Error {
  /** @param {string} message @param {number} offset */
  constructor(message, offset) {
    super(message);
    this.offset = offset;
  }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const WORD = /true|false|null/y;
const SPACE = /[ \t\n\r]*/y;
const BROKEN = 'unterminated string, or \\ before a character other than " \\ / b f n r t u';
/** The server accepts a depth of 128 and rejects more itself. Its responses wrap documents in a few more levels. */
const DEEPEST = 160;

/** @param {string} text @returns {Value} */
export function parse(text) {
  // Text from files may start with a byte order mark, which the server ignores.
  let at = text.startsWith('\ufeff') ? 1 : 0;

  /** @param {RegExp} pattern */
  const match = (pattern) => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  const skip = () => {
    at += match(SPACE)?.length ?? 0;
  };
  /** @param {string} what @returns {never} */
  const fail = (what) => {
    const found = at < text.length ? `found ${JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0))}` : 'the text ends';
    throw new NotJson(`expected ${what}, but ${found}`, at);
  };

  /** @param {number} depth @returns {Value} */
  const value = (depth) => {
    if (depth > DEEPEST) throw new NotJson(`nested deeper than ${DEEPEST}`, at);
    const start = at;
    switch (text[at]) {
      case '{': return object(start, depth);
      case '[': return array(start, depth);
      case '"': return scalar('string', STRING, BROKEN);
    }
    if (/[-0-9]/.test(text[at] ?? '')) return scalar('number', NUMBER, 'a number');
    return scalar('word', WORD, 'a value');
  };
  /** @param {'string' | 'number' | 'word'} kind @param {RegExp} pattern @param {string} what @returns {Value} */
  const scalar = (kind, pattern, what) => {
    const start = at;
    const found = match(pattern);
    if (found === undefined && kind === 'string') throw new NotJson(what, start);
    if (found === undefined) return fail(what);
    at += found.length;
    return { kind, text, start, end: at };
  };
  /** @param {number} start @param {number} depth @returns {Value} */
  const array = (start, depth) => {
    /** @type {Value[]} */
    const items = [];
    at += 1;
    skip();
    while (text[at] !== ']') {
      if (items.length > 0) {
        if (text[at] !== ',') fail('`,` or `]`');
        at += 1;
        skip();
      }
      items.push(value(depth + 1));
      skip();
    }
    at += 1;
    return { kind: 'array', text, start, end: at, items };
  };
  /** @param {number} start @param {number} depth @returns {Value} */
  const object = (start, depth) => {
    const members = [];
    const names = new Set();
    at += 1;
    skip();
    while (text[at] !== '}') {
      if (members.length > 0) {
        if (text[at] !== ',') fail('`,` or `}`');
        at += 1;
        skip();
      }
      const begin = at;
      if (text[at] !== '"') fail('the name of a member, in double quotes');
      const key = scalar('string', STRING, BROKEN);
      const name = JSON.parse(text.slice(key.start, key.end));
      if (names.has(name)) throw new NotJson(`duplicate member ${JSON.stringify(name)}`, begin);
      names.add(name);
      skip();
      if (text[at] !== ':') fail('`:`');
      at += 1;
      skip();
      members.push({ name, start: begin, value: value(depth + 1) });
      skip();
    }
    at += 1;
    return { kind: 'object', text, start, end: at, members };
  };

  skip();
  const whole = value(1);
  skip();
  if (at < text.length) fail('the end of the text');
  return whole;
}

/** Returns the exact text of a value. @param {Value} value */
export const source = (value) => value.text.slice(value.start, value.end);

/** Returns the member with this name. @param {Value | undefined} value @param {string} name @returns {Value | undefined} */
export const get = (value, name) => value?.members?.find((member) => member.name === name)?.value;

/** Returns the characters of a string, or `undefined` for other values. @param {Value | undefined} value @returns {string | undefined} */
export const string = (value) => (value?.kind === 'string' ? JSON.parse(source(value)) : undefined);

/** Returns a number, rounded to a double, or `undefined` for other values. @param {Value | undefined} value */
export const number = (value) => (value?.kind === 'number' ? Number(source(value)) : undefined);

/** Returns a value for display: strings without quotes, other values with their exact text. @param {Value} value @returns {string} */
export const shown = (value) => string(value) ?? source(value);
