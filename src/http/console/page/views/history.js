// @ts-check
// What a flow was, revision by revision, and what differs between any two.
import { Guarded } from '../parts/guarded.js';
import { Trouble } from '../parts/problem.js';
import { html, useEffect, useState } from '../vendor/preact.js';
import { Compare } from './compare.js';
import { Header } from './flow_header.js';
import { Timeline } from './timeline.js';
import { useHistory } from './use_history.js';

/** @param {{ id: string }} props */
export function HistoryView({ id }) {
  const history = useHistory(id);
  const { entries, flow, error, trouble, said, undo, isBusy } = history;
  const [from, setFrom] = useState(/** @type {number | undefined} */ (undefined));
  const [to, setTo] = useState(/** @type {number | undefined} */ (undefined));
  useEffect(() => {
    setFrom(undefined);
    setTo(undefined);
  }, [id]);
  // As long as nobody has chosen: what the last change was.
  const newer = to ?? entries[0]?.revision;
  const older = from ?? entries.find((entry) => entry.revision < (newer ?? 0))?.revision;
  const last = entries[0];
  const isDeleted = last?.op === 'delete';

  return html`
    <${Header} id=${id} flow=${flow} revision=${last?.revision} last=${last} view="history" isDeleted=${isDeleted} />
    ${error && entries.length === 0 && html`<${Trouble} error=${error} doing="Reading the history" />`}
    ${isDeleted && html`<p class="notice">This flow is deleted. Restore it as it was at any of these revisions.</p>`}
    <div role="status">${said && html`<p class="notice good">${said}
      ${undo !== undefined && html`<${Guarded} disabled=${isBusy} onClick=${history.takeBack}>Undo<//>`}</p>`}</div>
    <${Trouble} error=${trouble} doing="Restoring" />
    ${entries.length > 0 && html`
      <div class="history-body">
        <${Timeline} ...${{ entries, isBusy, isDeleted }} hasMore=${history.hasMore} older=${older} newer=${newer} onOlder=${setFrom} onNewer=${setTo}
          onMore=${history.more} onRestore=${history.restore} />
        ${older === undefined || newer === undefined
          ? html`<section class="difference"><h2>Difference</h2><p>Only one revision is kept, so there is nothing to compare it with.</p></section>`
          : html`<${Compare} id=${id} older=${older} newer=${newer} />`}
      </div>`}`;
}
