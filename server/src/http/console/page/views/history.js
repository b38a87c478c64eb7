// @ts-check
// The revisions of a flow, and the differences between any two of them.
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
  // Without a choice, compares the last revision with its predecessor.
  const newer = to ?? entries[0]?.revision;
  const older = from ?? entries.find((entry) => entry.revision < (newer ?? 0))?.revision;
  const last = entries[0];
  const isDeleted = last?.op === 'delete';

  return html`
    <${Header} id=${id} flow=${flow} revision=${last?.revision} last=${last} view="history" isDeleted=${isDeleted} />
    ${error && entries.length === 0 && html`<${Trouble} error=${error} doing="Loading the history" />`}
    ${isDeleted && html`<p class="notice">This flow is deleted. You can restore any of these revisions.</p>`}
    <div role="status">${said && html`<p class="notice good">${said}
      ${undo !== undefined && html`<${Guarded} disabled=${isBusy} onClick=${history.takeBack}>Undo<//>`}</p>`}</div>
    <${Trouble} error=${trouble} doing="Restoring" />
    ${entries.length > 0 && html`
      <div class="history-body">
        <${Timeline} ...${{ entries, isBusy, isDeleted }} hasMore=${history.hasMore} older=${older} newer=${newer} onOlder=${setFrom} onNewer=${setTo}
          onMore=${history.more} onRestore=${history.restore} />
        ${older === undefined || newer === undefined
          ? html`<section class="difference"><h2>Difference</h2><p>Only one revision exists, so there is nothing to compare.</p></section>`
          : html`<${Compare} id=${id} older=${older} newer=${newer} />`}
      </div>`}`;
}
