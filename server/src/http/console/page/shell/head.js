// @ts-check
import { feed } from '../feed.js';
import { health } from '../health.js';
import { session, signOut } from '../session.js';
import { html } from '../vendor/preact.js';

const LINKS = [['/', 'Flows'], ['/import', 'Import'], ['/trash', 'Trash']];
const STORAGES = /** @type {Record<string, string>} */ ({ json: 'JSON file', postgresql: 'PostgreSQL' });

/** The head of each view: links to the views, and the status of the server. @param {{ path: string }} props */
export function Head({ path }) {
  const { isOut, wantsKey, name } = session.use();
  const isHere = (/** @type {string} */ link) => path === link || (link === '/' && path.startsWith('/flows/'));
  return html`
    <header class="head">
      <a class="brand" href="#/"><img src="/console/icon.svg" alt="" width="28" height="28" /><span>Strom</span></a>
      ${!isOut && html`<nav aria-label="Main">${LINKS.map(([link, label]) => html`
        <a key=${link} href=${`#${link}`} aria-current=${isHere(link) ? 'page' : undefined}>${label}</a>`)}</nav>`}
      <div class="head-end">
        <${Server} />
        ${wantsKey && !isOut && html`<span class="key-name">Key <b>${name}</b></span><button type="button" class="quiet" onClick=${signOut}>Sign out</button>`}
      </div>
    </header>`;
}

/** The status of server and storage. Words repeat what the colours show. */
function Server() {
  const { isKnown, isSilent, isReachable, isReadOnly, isDegraded, storage, location } = health.use();
  const { isReadOnly: isKeyReadOnly, isOut } = session.use();
  const { isLive } = feed.use();
  if (!isKnown && !isSilent) return html`<p class="server"></p>`;
  const [level, word] = isSilent ? ['bad', 'server unreachable'] : !isReachable ? ['bad', 'unreachable'] : isDegraded ? ['warn', 'needs attention'] : ['good', 'healthy'];
  return html`
    <p class="server" role="group" aria-label="Server">
      ${storage && html`<span class="storage" title=${location || undefined}>${STORAGES[storage] ?? storage}</span>`}
      <span class=${`level ${level}`}>${word}</span>
      ${(isReadOnly || isKeyReadOnly) && html`<span class="level warn">read-only</span>`}
      ${!isOut && html`<span class=${`live ${isLive ? 'is-live' : ''}`} title=${isLive ? 'Changes appear immediately.' : 'Changes do not arrive. Retrying automatically.'}>${isLive ? 'live' : 'not live'}</span>`}
    </p>`;
}
