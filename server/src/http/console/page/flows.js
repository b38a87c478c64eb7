// @ts-check
// Requests of the views of one flow. Documents are sent and received as text, so that numbers stay exact.
import { request } from './api.js';
import { get, parse } from './json/parse.js';

/** @typedef {import('./json/parse.js').Value} Value */
/** @typedef {import('./graph/compare.js').Change} Change */
/** @typedef {{ changes: Change[], more: number }} Difference */
/** @typedef {{ revision: number, op: string, at: string, author: string, size: number, summary: any }} Entry */

/** An unsuccessful response. `body` is parsed; `current` keeps the exact text of the flow in a 412 response. */
export class Refused extends Error {
  /** @param {number} status @param {string} text */
  constructor(status, text) {
    /** @type {any} */
    let body = {};
    try {
      body = JSON.parse(text);
    } catch {
      // Not every response is JSON. A 401 response has no body.
    }
    super(body.detail || body.title || `the server responded with status ${status}`);
    this.status = status;
    this.body = body;
    this.text = text;
  }

  /** The current flow, from a 412 response. @returns {Value | undefined} */
  get current() {
    return this.body.current && get(get(parse(this.text), 'current'), 'flow');
  }
}

/** @param {string} method @param {string} path @param {{ body?: string, headers?: Record<string, string> }} [options] */
async function call(method, path, options = {}) {
  const headers = { ...(options.body === undefined ? {} : { 'Content-Type': 'application/json' }), ...options.headers };
  const answer = await request(method, path, { body: options.body, headers });
  const text = await answer.text();
  if (!answer.ok) throw new Refused(answer.status, text);
  return { text, revision: Number(/"(\d+)"/.exec(answer.headers.get('ETag') ?? '')?.[1] ?? 0) };
}

const at = (/** @type {string} */ id, part = '') => `/api/flows/${encodeURIComponent(id)}${part}`;
const matching = (/** @type {number} */ revision) => ({ 'If-Match': `"${revision}"` });

/** @param {{ text: string, revision: number }} answer */
function stored({ text, revision }) {
  const whole = parse(text);
  return { flow: /** @type {Value} */ (get(whole, 'flow')), revision, merge: JSON.parse(text).merge };
}

/** @param {string} id */
export const read = async (id) => stored(await call('GET', at(id)));

/** @param {string} id @returns {Promise<{ path: string, message: string }[]>} */
export const check = async (id) => JSON.parse((await call('GET', at(id, '/check'))).text).warnings;

/** Newest first. @param {string} id @param {{ before?: number, limit?: number }} [part] @returns {Promise<Entry[]>} */
export async function history(id, { before, limit = 50 } = {}) {
  const query = `?limit=${limit}${before === undefined ? '' : `&before=${before}`}`;
  return JSON.parse((await call('GET', at(id, `/history${query}`))).text).history;
}

/** The document of a revision. @param {string} id @param {number} revision */
export const revisionOf = async (id, revision) => stored(await call('GET', at(id, `/history/${revision}`))).flow;

/** @param {string} id @param {number} from @param {number} to @returns {Promise<Difference & { from: number, to: number }>} */
export const difference = async (id, from, to) => JSON.parse((await call('GET', at(id, `/diff?from=${from}&to=${to}`))).text);

/**
 * Stores a document: over this revision, merged with newer changes, or (`null`) only if no such flow exists.
 * @param {string} id @param {string} body @param {number | null} revision @param {boolean} [merges]
 */
export async function save(id, body, revision, merges = false) {
  const headers = revision === null ? { 'If-None-Match': '*' } : matching(revision);
  return stored(await call('PUT', at(id, merges ? '?merge=auto' : ''), { body, headers }));
}

/** @param {string} body */
export const create = async (body) => stored(await call('POST', '/api/flows', { body }));

/** @param {string} id @param {number} revision the revision that the page shows */
export const remove = (id, revision) => call('DELETE', at(id), { headers: matching(revision) });

/**
 * Restores a revision, if the flow is still at revision `seen` or (`null`) still deleted.
 * @param {string} id @param {number} revision @param {number | null} seen
 */
export async function restore(id, revision, seen) {
  const headers = seen === null ? { 'If-None-Match': '*' } : matching(seen);
  return stored(await call('POST', at(id, '/restore'), { body: JSON.stringify({ revision }), headers }));
}

/** @typedef {{ id: string, revision: number, deleted_at: string, author: string, name: string, elements: number, blocks: number, links: number }} Deleted */

/** The latest deletion first. @returns {Promise<Deleted[]>} */
export const trash = async () => JSON.parse((await call('GET', '/api/trash')).text).flows;
