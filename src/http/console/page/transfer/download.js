// @ts-check
// Flows as files. They come by `fetch` and not by a link: a link could not send the key, and it would leave half a file behind
// when an export breaks off. The browser keeps the answer of large exports on the disk, not in the memory of the page.
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
  // Not before the browser has begun to read it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const today = () => new Date().toLocaleDateString('sv-SE');

/** A name that every file system takes. @param {string} name */
export const fileName = (name) => name.normalize('NFC').replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^[-.]+|[-.]+$/g, '').slice(0, 80) || 'flow';

/**
 * All flows, or those that fit; tells how many bytes there are so far, and in the end.
 * @param {URLSearchParams} filters @param {(bytes: number) => void} onProgress
 */
export async function exportFlows(filters, onProgress) {
  const answer = await request('GET', `/api/flows/export${filters.size ? `?${filters}` : ''}`, { headers: { Accept: 'application/json' } });
  if (!answer.ok || !answer.body) {
    await read(answer);
    throw new ApiError(answer.status, {});
  }
  let bytes = 0;
  let told = 0;
  const counted = answer.body.pipeThrough(new TransformStream({
    transform(piece, controller) {
      bytes += piece.byteLength;
      if (Date.now() - told > 250) {
        told = Date.now();
        onProgress(bytes);
      }
      controller.enqueue(piece);
    },
  }));
  let blob;
  try {
    blob = await new Response(counted, { headers: { 'Content-Type': 'application/json' } }).blob();
  } catch {
    throw new Error('the export broke off; no file was saved');
  }
  save(blob, `strom-flows-${filters.size ? 'filtered-' : ''}${today()}.json`);
  return blob.size;
}

/** One flow, to the letter, as a file that can be imported. @param {{ id: string, name: string }} flow */
export async function exportFlow({ id, name }) {
  const { text } = await read(await request('GET', `/api/flows/${id}`));
  const flow = get(parse(text), 'flow');
  if (!flow) throw new Error('the answer has no flow');
  const name_ = `${fileName(name)}.json`;
  save(new Blob([`{"version":1,"flows":[\n${source(flow)}\n]}\n`], { type: 'application/json' }), name_);
  return name_;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1_000) return `${bytes} bytes`;
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(0)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
