// @ts-check
import { html, useState } from '../vendor/preact.js';

/** Sign, planned outcome and outcome of a flow. The signs repeat what the colours show. */
const WORDS = /** @type {Record<string, [string, string, string]>} */ ({
  created: ['+', 'would be created', 'was created'],
  replaced: ['~', 'would replace the stored flow', 'replaced the stored flow'],
  unchanged: ['=', 'is already stored, unchanged', 'was already stored, unchanged'],
  skipped: ['–', 'would be skipped: the stored flow stays', 'was skipped: the stored flow stays'],
  cloned: ['⧉', 'would be imported as a copy', 'was imported as a copy'],
  refused: ['!', 'would be refused', 'was refused'],
});
/** Outcomes that need attention come first. */
const ORDER = ['refused', 'replaced', 'cloned', 'skipped', 'created', 'unchanged'];
const AT_ONCE = 200;

/** The outcome for each flow of a file. @param {{ result: import('./upload.js').Result, isDry: boolean }} props */
export function Report({ result, isDry }) {
  const { file, report, error } = result;
  const [shown, setShown] = useState(AT_ONCE);
  const lines = [...(report?.flows ?? [])].sort((a, b) => ORDER.indexOf(a.outcome) - ORDER.indexOf(b.outcome) || Number(Boolean(b.warnings?.length)) - Number(Boolean(a.warnings?.length)));
  return html`
    <section class="report" aria-label=${`Report on ${file.name}`}>
      <h3>${file.name}</h3>
      ${error && html`<p class="notice bad" role="alert"><b>${report ? 'No flow of this file was imported' : 'This file cannot be imported'}:</b> ${error}.</p>`}
      ${!error && report && report.refused > 0 && isDry && html`<p class="notice bad"><b>No flow of this file would be imported</b>, because ${report.refused === 1 ? 'a flow' : `${report.refused} flows`} would be refused. A file is imported completely or not at all.</p>`}
      ${lines.length > 0 && html`
        <div class="scroll" tabindex="0" role="group" aria-label=${`Flows of ${file.name}`}>
          <table>
            <thead><tr><th scope="col">Flow</th><th scope="col">${isDry ? 'Planned outcome' : 'Outcome'}</th><th scope="col">Details</th></tr></thead>
            <tbody>${lines.slice(0, shown).map((line, index) => html`<${Line} key=${index} line=${line} isDry=${isDry} />`)}</tbody>
          </table>
        </div>
        ${lines.length > shown && html`<p><button type="button" onClick=${() => setShown(shown + 1_000)}>Show more of ${lines.length} flows</button></p>`}`}
      ${report && lines.length === 0 && !error && html`<p class="hint">This file contains no flows.</p>`}
    </section>`;
}

/** @param {{ line: import('./upload.js').Line, isDry: boolean }} props */
function Line({ line, isDry }) {
  const { id, name, outcome, warnings = [], error } = line;
  const [sign, would, did] = WORDS[outcome] ?? ['', outcome, outcome];
  const isHere = !isDry && outcome !== 'refused' && id;
  return html`
    <tr class=${`outcome-${outcome}`}>
      <td class="flow">${isHere ? html`<a href=${`#/flows/${id}`}>${name || id}</a>` : html`<b>${name || 'unnamed'}</b>`}${id && html`<code>${id}</code>`}</td>
      <td class="outcome"><span aria-hidden="true">${sign}</span> ${isDry ? would : did}</td>
      <td>${typeof error === 'string' ? error : error ? JSON.stringify(error) : ''}
        ${warnings.length > 0 && html`<ul class="warned">${warnings.slice(0, 5).map((warning, index) => html`<li key=${index}>${typeof warning === 'string' ? warning : warning.message}</li>`)}
          ${warnings.length > 5 && html`<li>and ${warnings.length - 5} more</li>`}</ul>`}</td>
    </tr>`;
}
