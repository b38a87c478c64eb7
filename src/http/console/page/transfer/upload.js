// @ts-check
// What the server makes of files: as a rehearsal, and for good.
import { ApiError, send } from '../api.js';

/** @typedef {{ id: string, name: string, outcome: string, warnings?: { path: string, message: string }[], error?: string }} Line */
/** @typedef {{ dry_run: boolean, created: number, replaced: number, unchanged: number, skipped: number, cloned: number, refused: number, flows: Line[] }} Report */
/** @typedef {{ file: File, report?: Report, error?: string }} Result */

/** What to do with a flow that is there already, with another content. */
export const POLICIES = [
  ['fail', 'Stop', 'Import nothing of a file when one of its flows is here already with another content.'],
  ['skip', 'Keep what is here', 'Import the others, and leave the flows that are here as they are.'],
  ['newer', 'Take what is newer', 'Replace a flow only when the file says that it was changed later.'],
  ['replace', 'Replace what is here', 'Take all flows as the file has them. What was here stays in their histories.'],
  ['clone', 'Import copies', 'Give those flows ids of their own, so that both exist. Links between flows by their id break.'],
];

const isLines = (/** @type {File} */ file) => /\.(ndjson|jsonl)$/i.test(file.name);

/**
 * Sends files, one after the other. Each is imported as a whole or not at all.
 * @param {File[]} files @param {{ policy: string, isDry: boolean, run: string, signal?: AbortSignal, onProgress?: (done: number) => void }} how
 */
export async function importFiles(files, { policy, isDry, run, signal, onProgress }) {
  /** @type {Result[]} */
  const results = [];
  for (const [index, file] of files.entries()) {
    onProgress?.(index);
    const headers = { 'Content-Type': isLines(file) ? 'application/x-ndjson' : 'application/json', ...(isDry ? {} : { 'Idempotency-Key': `${run}-${index}` }) };
    try {
      const { body } = await send('POST', `/api/flows/import?on_conflict=${policy}&dry_run=${isDry}`, file, headers, signal);
      results.push({ file, report: body });
    } catch (error) {
      if (signal?.aborted) throw error;
      // Refused flows come with a report of all of them.
      const report = error instanceof ApiError && Array.isArray(error.body.flows) ? error.body : undefined;
      results.push({ file, report, error: /** @type {Error} */ (error).message });
    }
  }
  return results;
}

/** @param {Result[]} results */
export function sums(results) {
  const sum = { created: 0, replaced: 0, unchanged: 0, skipped: 0, cloned: 0, refused: 0 };
  for (const { report } of results) {
    for (const name of /** @type {(keyof typeof sum)[]} */ (Object.keys(sum))) sum[name] += report?.[name] ?? 0;
  }
  return sum;
}

/** Files of which nothing would be taken. @param {Result[]} results */
export const broken = (results) => results.filter(({ report, error }) => error !== undefined || !report || report.refused > 0);
