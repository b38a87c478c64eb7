// @ts-check
// Downloads flows as files. A link could not send the key, and would leave a partial file if an export is interrupted. Therefore
// `fetch` loads them. The browser stores large responses on disk, not in the memory of the page.
import { request, ApiError, read } from '../api.js';
import { get, parse, source } from '../json/parse.js';

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  // Later, because the browser starts to read the blob only after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const today = () => new Date().toLocaleDateString('sv-SE');

/** Returns a name that every file system accepts. @param {string} name */
export const fileName = (name) => name.normalize('NFC').replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^[-.]+|[-.]+$/g, '').slice(0, 80) || 'flow';

/**
 * Downloads all flows, or those that match. Reports the bytes received so far, and returns the size.
 * @param {URLSearchParams} filters @param {(bytes: number) => void} onProgress
 */
export async function exportFlows(filters, onProgress) {
  const answer = await request('GET', `/api/flows/export${filters.size ? `?${filters}` : ''}`, { headers: { Accept: 'application/json' } });
  if (!answer.ok || !answer.body) {
    await read(answer);
    throw new ApiError(answer.status, {});
  }
  let bytes = 0;
  let reported = 0;
  const counted = answer.body.pipeThrough(new TransformStream({
    transform(piece, controller) {
      bytes += piece.byteLength;
      if (Date.now() - reported > 250) {
        reported = Date.now();
        onProgress(bytes);
      }
      controller.enqueue(piece);
    },
  }));
  let blob;
  try {
    blob = await new Response(counted, { headers: { 'Content-Type': 'application/json' } }).blob();
  } catch {
    throw new Error('the export was interrupted; no file was saved');
  }
  save(blob, `strom-flows-${filters.size ? 'filtered-' : ''}${today()}.json`);
  return blob.size;
}

/** Downloads one flow with its exact text, as an importable file. @param {{ id: string, name: string }} flow */
export async function exportFlow({ id, name }) {
  const { text } = await read(await request('GET', `/api/flows/${id}`));
  const flow = get(parse(text), 'flow');
  if (!flow) throw new Error('the response contains no flow');
  const name_ = `${fileName(name)}.json`;
  save(new Blob([`{"version":1,"flows":[\n${source(flow)}\n]}\n`], { type: 'application/json' }), name_);
  return name_;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1_000) return `${bytes} bytes`;
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(0)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
