// @ts-check
// Compares two revisions in words and in the graph.
import { difference, revisionOf } from '../flows.js';
import { compared } from '../graph/compare.js';
import { Graph } from '../graph/graph.js';
import { format } from '../json/format.js';
import { Changes } from '../parts/changes.js';
import { Trouble } from '../parts/problem.js';
import { html, useEffect, useMemo, useState } from '../vendor/preact.js';
import { SideBySide } from './side_by_side.js';

/** @param {{ id: string, older: number, newer: number }} props */
export function Compare({ id, older, newer }) {
  const [found, setFound] = useState(/** @type {any} */ (undefined));
  const [error, setError] = useState(/** @type {unknown} */ (undefined));
  const [selected, select] = useState(/** @type {string | undefined} */ (undefined));
  const [showsText, setShowsText] = useState(false);
  useEffect(() => {
    let isCurrent = true;
    select(undefined);
    Promise.all([difference(id, older, newer), revisionOf(id, older), revisionOf(id, newer)]).then(
      ([changes, before, after]) => {
        if (!isCurrent) return;
        setFound({ changes, before, after, older, newer });
        setError(undefined);
      },
      (failure) => isCurrent && setError(failure),
    );
    return () => {
      isCurrent = false;
    };
  }, [id, older, newer]);
  const picture = useMemo(() => found && compared(found.before, found.after, found.changes.changes), [found]);
  const isDrawn = (/** @type {any} */ change) => {
    const key = picture?.keyOf(change);
    return key !== undefined && [...picture.model.nodes, ...picture.model.links].some((one) => one.key === key);
  };
  return html`
    <section class="difference" aria-labelledby="difference-title" aria-busy=${!found || found.older !== older || found.newer !== newer}>
      <h2 id="difference-title">From revision ${older} to ${newer}</h2>
      <${Trouble} error=${error} doing="Comparing the revisions" />
      ${found && picture && html`
        <${Changes} difference=${found.changes} canShow=${isDrawn} onShow=${(/** @type {any} */ change) => select(picture.keyOf(change))} />
        ${found.changes.more > 0 && html`<p class="hint">The graph marks only the listed changes.</p>`}
        <${Graph} model=${picture.model} marks=${picture.marks} was=${picture.was} title=${`the changes from revision ${found.older} to ${found.newer}`}
          scene=${`${id} ${found.older} ${found.newer}`}
          selected=${selected} onSelect=${select} />
        ${selected && html`<${Selected} mark=${picture.marks.get(selected)} />`}
        <details onToggle=${(/** @type {any} */ event) => setShowsText(event.currentTarget.open)}>
          <summary>Both documents side by side</summary>
          ${showsText && html`<${SideBySide} left=${format(found.before)} right=${format(found.after)} leftTitle=${`Revision ${found.older}`} rightTitle=${`Revision ${found.newer}`} />`}
        </details>`}
    </section>`;
}

/** @param {{ mark?: import('../graph/compare.js').Mark }} props */
function Selected({ mark }) {
  const words = mark?.words ?? ['No change here.'];
  return html`<div class="notice" role="status">${words.map((one) => html`<p key=${one}>${one}</p>`)}</div>`;
}
