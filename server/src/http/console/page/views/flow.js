// @ts-check
// One flow: its graph, its properties, its document, and the actions.
import { useFlow } from './use_flow.js';
import { Actions } from './flow_actions.js';
import { Document } from './document.js';
import { Header } from './flow_header.js';
import { News } from './flow_news.js';
import { model } from '../graph/model.js';
import { Graph } from '../graph/graph.js';
import { Panel } from '../graph/panel.js';
import { warningsOf } from '../graph/warnings.js';
import { get, string } from '../json/parse.js';
import { take } from '../notes.js';
import { Trouble } from '../parts/problem.js';
import { html, useEffect, useMemo, useState } from '../vendor/preact.js';

/** @param {{ id: string }} props */
export function FlowView({ id }) {
  const { flow, revision, last, warnings: list, news, isDeleted, error, dismiss, reload } = useFlow(id);
  const [selected, select] = useState(/** @type {string | undefined} */ (undefined));
  const graph = useMemo(() => flow && model(flow), [flow]);
  const warnings = useMemo(() => graph && warningsOf(list, graph), [graph, list]);
  // The keys of nodes are paths of a document, so they have another meaning in the next flow.
  useEffect(() => select(undefined), [id]);
  const [said, say] = useState('');
  useEffect(() => say(take()), [id]);

  if (!flow || !graph || !warnings) {
    return html`<${Header} id=${id} view="flow" />
      ${isDeleted || error?.status === 404 ? html`<${Missing} id=${id} />`
      : error ? html`<${Trouble} error=${error} doing="Loading the flow" />` : html`<p role="status">Loading the flow…</p>`}`;
  }
  return html`
    <${Header} id=${id} flow=${flow} revision=${revision} last=${last} view="flow" isDeleted=${isDeleted}>
      ${!isDeleted && html`<${Actions} id=${id} flow=${flow} revision=${revision} onChanged=${reload} />`}
    <//>
    <div role="status">${said && html`<p class="notice good">${said}</p>`}</div>
    <${News} id=${id} news=${news} onDismiss=${dismiss} />
    <${Trouble} error=${error} doing="Reloading the flow" />
    <div class="flow-body">
      <${Graph} model=${graph} warnings=${warnings} title=${string(get(flow, 'name')) ?? id} scene=${id} selected=${selected} onSelect=${select} />
      <${Panel} flow=${flow} model=${graph} warnings=${warnings} selected=${selected} onSelect=${select} />
    </div>
    <${Document} flow=${flow} />`;
}

/** @param {{ id: string }} props */
function Missing({ id }) {
  return html`
    <p class="notice" role="alert">There is no flow with this id. If it was deleted, restore it from the
      <a href="#/trash">trash</a> or from <a href=${`#/flows/${id}/history`}>its history</a>.</p>`;
}
