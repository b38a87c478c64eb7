// @ts-check
// Requests to the server, with the key. Errors carry the problem details of the response (RFC 9457).
import { noticeAnswer, noticeSilence } from './health.js';
import { credentials, lost } from './session.js';

/** An unsuccessful response, or no response at all (status 0). */
export class ApiError extends Error {
  /** @param {number} status @param {any} members @param {string} [text] */
  constructor(status, members, text = '') {
    super(members.detail || members.title || (status ? `the server responded with status ${status}` : 'the server is unreachable'));
    this.status = status;
    /** All members of the problem details. */
    this.body = members;
    this.text = text;
    this.type = String(members.type ?? '');
    this.title = String(members.title ?? '');
    this.detail = String(members.detail ?? '');
    this.path = members.path;
  }
}

/**
 * Returns the response, also an unsuccessful one. After a 401, the page shows the sign-in form.
 * @param {string} method @param {string} path
 * @param {{ body?: BodyInit, headers?: Record<string, string>, signal?: AbortSignal }} [options]
 */
export async function request(method, path, { body, headers, signal } = {}) {
  let answer;
  try {
    // Bypass the browser's cache: the ETag of a flow is its revision, and reports of an engine do not change it.
    answer = await fetch(path, { method, body, headers: { ...credentials(), ...headers }, signal, cache: 'no-store' });
  } catch (error) {
    if (signal?.aborted) throw error;
    noticeSilence();
    throw new ApiError(0, {});
  }
  if (answer.status === 401) lost();
  noticeAnswer(answer);
  return answer;
}

/** @param {Response} answer */
export async function read(answer) {
  const text = await answer.text();
  const isJson = /json/.test(answer.headers.get('Content-Type') ?? '');
  let body;
  try {
    body = isJson && text ? JSON.parse(text) : undefined;
  } catch {
    throw new ApiError(answer.status, { detail: 'the response is incomplete' }, text);
  }
  if (!answer.ok) throw new ApiError(answer.status, body ?? (answer.status === 401 ? { detail: 'an API key is required' } : {}), text);
  const stale = answer.headers.get('Strom-Stale');
  return { status: answer.status, etag: answer.headers.get('ETag') ?? undefined, stale: stale === null ? undefined : Number(stale), body, text };
}

/** @param {string} path @param {{ headers?: Record<string, string>, signal?: AbortSignal }} [options] */
export const get = async (path, options) => read(await request('GET', path, options));

/**
 * Sends a value as JSON, and a text or a file unchanged.
 * @param {string} method @param {string} path @param {any} [body] @param {Record<string, string>} [headers] @param {AbortSignal} [signal]
 */
export async function send(method, path, body, headers = {}, signal) {
  const isRaw = body === undefined || typeof body === 'string' || body instanceof Blob;
  const type = body === undefined ? {} : { 'Content-Type': 'application/json' };
  return read(await request(method, path, { body: isRaw ? body : JSON.stringify(body), headers: { ...type, ...headers }, signal }));
}
