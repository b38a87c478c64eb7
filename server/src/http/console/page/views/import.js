// @ts-check
// Imports flows from files: first a preview, then, after confirmation, the import.
import { Guarded } from '../parts/guarded.js';
import { dropped } from '../shell/dropping.js';
import { size } from '../transfer/download.js';
import { Report } from '../transfer/report.js';
import { broken, importFiles, POLICIES, sums } from '../transfer/upload.js';
import { useReadOnly } from '../health.js';
import { html, useCallback, useEffect, useRef, useState } from '../vendor/preact.js';

export function ImportView() {
  const [files, setFiles] = useState(/** @type {File[]} */ ([]));
  const [policy, setPolicy] = useState('fail');
  const [results, setResults] = useState(/** @type {import('../transfer/upload.js').Result[] | undefined} */ (undefined));
  const [isDry, setDry] = useState(true);
  const [busy, setBusy] = useState('');
  const control = useRef(new AbortController());
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  const { files: waiting, isOver } = dropped.use();
  const reason = useReadOnly();

  const take = useCallback((/** @type {File[]} */ list) => {
    if (list.length === 0) return;
    setFiles(list);
    setResults(undefined);
  }, []);
  useEffect(() => {
    if (waiting.length === 0) return;
    dropped.set({ files: [] });
    take(waiting);
  }, [waiting, take]);

  const send = useCallback(async (/** @type {boolean} */ isRehearsal) => {
    control.current.abort();
    const { signal } = (control.current = new AbortController());
    setBusy(isRehearsal ? 'Looking at the files…' : 'Importing…');
    try {
      const onProgress = (/** @type {number} */ done) => files.length > 1 && setBusy(`${isRehearsal ? 'Looking at' : 'Importing'} file ${done + 1} of ${files.length}…`);
      const found = await importFiles(files, { policy, isDry: isRehearsal, signal, onProgress });
      if (signal.aborted) return;
      setResults(found);
      setDry(isRehearsal);
      setBusy('');
      if (!isRehearsal) heading.current?.focus();
    } catch {
      if (!signal.aborted) setBusy('');
    }
  }, [files, policy]);
  useEffect(() => {
    if (files.length > 0 && !reason) send(true);
    return () => control.current.abort();
  }, [files, policy, send, Boolean(reason)]);

  const sum = results && sums(results);
  const bad = results ? broken(results) : [];
  const writes = sum ? results.filter((one) => !bad.includes(one)).reduce((all, { report }) => all + (report ? report.created + report.replaced + report.cloned : 0), 0) : 0;
  const isDone = results !== undefined && !isDry;
  return html`
    <section class="import" aria-labelledby="import-title">
      <h1 id="import-title">Import flows</h1>
      <p>You see a preview before anything is written.</p>
      <${Choose} isOver=${isOver} onFiles=${take} reason=${reason} />
      ${files.length > 0 && html`
        <ul class="files" aria-label="Files to import">${files.map((file, index) => html`<li key=${index}><b>${file.name}</b> <span class="hint">${size(file.size)}</span></li>`)}</ul>
        ${!isDone && html`<${Policies} policy=${policy} onPolicy=${setPolicy} />`}`}
      <p class="said" role="status">${busy}</p>
      ${results && sum && html`
        <div class=${`results ${busy ? 'is-old' : ''}`} aria-busy=${Boolean(busy)}>
          <h2 tabindex="-1" ref=${heading}>${isDone ? 'Import result' : 'Preview'}</h2>
          <p class="sum" role="status">${inWords(sum, isDry)}</p>
          ${!isDone && html`
            <div class="actions confirm-import">
              <${Guarded} class="primary" disabled=${Boolean(busy) || writes === 0} onClick=${() => send(false)}>
                ${writes > 0 ? `Import ${writes} flow${writes === 1 ? '' : 's'}` : 'Nothing to import'}<//>
              <button type="button" onClick=${() => { control.current.abort(); setFiles([]); setResults(undefined); setBusy(''); }}>Cancel</button>
              ${bad.length > 0 && html`<span class="hint">${bad.length === 1 ? 'One file' : `${bad.length} files`} will not be imported: see the report.</span>`}
            </div>`}
          ${isDone && html`<div class="actions"><a class="button primary" href="#/">Go to the flows</a><button type="button" onClick=${() => { setFiles([]); setResults(undefined); }}>Import more</button></div>`}
          ${results.map((result, index) => html`<${Report} key=${index} result=${result} isDry=${isDry} />`)}
        </div>`}
    </section>`;
}

/** @param {{ isOver: boolean, onFiles: (files: File[]) => void, reason: string }} props */
function Choose({ isOver, onFiles, reason }) {
  const chosen = (/** @type {any} */ event) => {
    onFiles([...event.currentTarget.files]);
    // Allows choosing the same file again after it was corrected.
    event.currentTarget.value = '';
  };
  return html`
    <div class=${`drop ${isOver ? 'is-over' : ''}`}>
      <p><b>${isOver ? 'Release for a preview' : 'Drop files here'}</b>, or choose them:</p>
      <label class="pick" for="files">Choose files</label>
      <input id="files" type="file" multiple accept=".json,.ndjson,.jsonl,application/json,application/x-ndjson" disabled=${Boolean(reason)} onChange=${chosen} aria-describedby="files-hint" />
      <p id="files-hint" class="hint">${reason || 'An export of Strom, a flows.json file, a single flow, an array of flows, or one flow per line (.ndjson).'}</p>
    </div>`;
}

/** @param {{ policy: string, onPolicy: (policy: string) => void }} props */
function Policies({ policy, onPolicy }) {
  return html`
    <fieldset class="policies">
      <legend>If a flow is already stored with different content</legend>
      ${POLICIES.map(([value, label, words]) => html`
        <label key=${value} class="policy"><input type="radio" name="policy" value=${value} checked=${policy === value} onChange=${() => onPolicy(value)} />
          <span><b>${label}</b><span class="hint">${words}</span></span></label>`)}
    </fieldset>`;
}

/** @param {Record<string, number>} sum @param {boolean} isDry */
function inWords(sum, isDry) {
  const words = [['created', 'created'], ['replaced', 'replaced'], ['cloned', 'imported as copies'], ['unchanged', 'unchanged'], ['skipped', 'skipped'], ['refused', 'refused']];
  const parts = words.filter(([name]) => sum[name] > 0).map(([name, word]) => `${sum[name]} ${word}`);
  if (parts.length === 0) return 'No flows.';
  return `${isDry ? 'Preview: ' : ''}${parts.join(', ')}.`;
}
