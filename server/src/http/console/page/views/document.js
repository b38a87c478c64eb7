// @ts-check
import { format } from '../json/format.js';
import { get, string } from '../json/parse.js';
import { fileName } from '../transfer/download.js';
import { html, useMemo, useState } from '../vendor/preact.js';

/** The number of characters shown. Browsers need seconds to show more. */
const SHOWN = 300_000;

/** The stored document, formatted. @param {{ flow: import('../json/parse.js').Value }} props */
export function Document({ flow }) {
  const text = useMemo(() => format(flow), [flow]);
  const [said, say] = useState('');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say('Copied.');
    } catch {
      say('The browser blocked copying. Select the text, or download it.');
    }
  };
  return html`
    <section class="document" aria-labelledby="document-title">
      <div class="section-head">
        <h2 id="document-title">Document</h2>
        <div class="actions">
          <span role="status">${said}</span>
          <button type="button" onClick=${copy}>Copy</button>
          <button type="button" onClick=${() => download(text, flow)}>Download</button>
        </div>
      </div>
      <pre class="json" tabindex="0" role="region" aria-label="The document as JSON">${text.slice(0, SHOWN)}</pre>
      ${text.length > SHOWN && html`<p>Only the beginning is shown. Copy and Download include everything.</p>`}
    </section>`;
}

/** @param {string} text @param {import('../json/parse.js').Value} flow */
function download(text, flow) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([`${text}\n`], { type: 'application/json' }));
  link.download = `${fileName(string(get(flow, 'name')) ?? '')}.json`;
  link.click();
  // Later, because the browser reads the blob after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
