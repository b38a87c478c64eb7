// @ts-check
// The page: its head, and the view of the current address.
import { start as followChanges } from './feed.js';
import { ask as askForHealth } from './health.js';
import { look, session } from './session.js';
import { Head } from './shell/head.js';
import { useRoute } from './shell/routes.js';
import { SignIn } from './shell/sign_in.js';
import { Alarms } from './shell/alarms.js';
import { useDropping } from './shell/dropping.js';
import { html, render, useEffect } from './vendor/preact.js';

function Console() {
  const { View, params, path, name } = useRoute();
  const { isOut, isKnown } = session.use();
  useDropping();
  useEffect(() => {
    document.title = isOut ? 'Sign in · Strom' : `${name} · Strom`;
  }, [name, isOut]);
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <${Head} path=${path} />
    <${Alarms} />
    <main id="main" tabindex="-1">
      ${isOut ? html`<${SignIn} />` : isKnown && html`<${View} key=${path} params=${params} ...${params} />`}
    </main>`;
}

/** The part of the address after `#` names a view, not an element of the page. @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

const root = /** @type {HTMLElement} */ (document.getElementById('console'));
render(html`<${Console} />`, root);
askForHealth();
look().catch(() => session.set({ isKnown: true })).then(followChanges);
