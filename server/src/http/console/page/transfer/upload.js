// @ts-check
// Imports files, as a dry run or for real.
import { ApiError, send } from '../api.js';

/** @typedef {{ id: string, name: string, outcome: string, warnings?: { path: string, message: string }[], error?: string }} Line */
/** @typedef {{ dry_run: boolean, created: number, replaced: number, unchanged: number, skipped: number, cloned: number, refused: number, flows: Line[] }} Report */
/** @typedef {{ file: File, report?: Report, error?: string }} Result */

/** The policies for a flow that is already stored with different content. */
export const POLICIES = [
  ['fail', 'Stop', 'Import no flow of a file if one of its flows is already stored with different content.'],
  ['skip', 'Keep stored flows', 'Import the other flows, and leave the stored flows unchanged.'],
  ['newer', 'Use newer flows', 'Replace a stored flow only if the file states a later modification time.'],
  ['replace', 'Replace stored flows', 'Import all flows of the file. The replaced revisions stay in the histories.'],
  ['clone', 'Import copies', 'Assign new ids to these flows, so that both exist. References between flows by id break.'],
];

const isLines = (/** @type {File} */ file) => /\.(ndjson|jsonl)$/i.test(file.name);

/**
 * Sends files, one after the other. Each is imported as a whole or not at all.
 * @param {File[]} files @param {{ policy: string, isDry: boolean, signal?: AbortSignal, onProgress?: (done: number) => void }} how
 */
export async function importFiles(files, { policy, isDry, signal, onProgress }) {
  /** @type {Result[]} */
  const results = [];
  for (const [index, file] of files.entries()) {
    onProgress?.(index);
    const headers = { 'Content-Type': isLines(file) ? 'application/x-ndjson' : 'application/json' };
    try {
      const { body } = await send('POST', `/api/flows/import?on_conflict=${policy}&dry_run=${isDry}`, file, headers, signal);
      results.push({ file, report: body });
    } catch (error) {
      if (signal?.aborted) throw error;
      // If flows are refused, the error response contains the report.
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

/** Returns the files that would not be imported. @param {Result[]} results */
export const broken = (results) => results.filter(({ report, error }) => error !== undefined || !report || report.refused > 0);
