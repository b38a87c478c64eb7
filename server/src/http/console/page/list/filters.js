// @ts-check
// Filters and order of the list. They are part of the address, so that going back from a flow shows the same list.

export const STATES = ['Null', 'Ready', 'Paused', 'Playing'];

/** @type {[string, string][]} */
export const SORTS = [
  ['name', 'Name, A to Z'],
  ['-name', 'Name, Z to A'],
  ['-updated_at', 'Changed, latest first'],
  ['updated_at', 'Changed, oldest first'],
  ['-created_at', 'Created, latest first'],
  ['created_at', 'Created, oldest first'],
];

/** @typedef {{ name: string, state: string, auto_restart: string, contains: string, sort: string }} Filters */

/** @type {Filters} */
export const ALL = { name: '', state: '', auto_restart: '', contains: '', sort: 'name' };

/** Ignores invalid values, because users can edit the address. @param {string} hash @returns {Filters} */
export function fromHash(hash) {
  const query = new URLSearchParams(hash.split('?').slice(1).join('?'));
  const one = (/** @type {string} */ name, /** @type {string[]} */ of) => (of.includes(query.get(name) ?? '') ? /** @type {string} */ (query.get(name)) : '');
  return {
    name: query.get('name') ?? '',
    state: one('state', STATES),
    auto_restart: one('auto_restart', ['true', 'false']),
    contains: query.get('contains') ?? '',
    sort: one('sort', SORTS.map(([sort]) => sort)) || 'name',
  };
}

/** @param {Filters} filters */
export function toHash(filters) {
  const query = parameters(filters);
  if (filters.sort === 'name') query.delete('sort');
  return query.size ? `#/?${query}` : '#/';
}

/** For lists and exports. @param {Filters} filters @param {boolean} [isOrdered] */
export function parameters(filters, isOrdered = true) {
  const given = Object.entries(filters).filter(([name, value]) => value.trim() && (name !== 'sort' || isOrdered));
  return new URLSearchParams(given.map(([name, value]) => [name, name === 'name' ? value : value.trim()]));
}

/** @param {Filters} filters */
export const isFiltered = (filters) => parameters(filters, false).size > 0;

/** Returns why a text is not a JSON filter, or an empty text. The server checks the rest. @param {string} text */
export function wrongJson(text) {
  if (!text.trim()) return '';
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === 'object' ? '' : 'Put it into { }: flows are JSON objects.';
  } catch (error) {
    return `This is not JSON yet: ${/** @type {Error} */ (error).message}.`;
  }
}
