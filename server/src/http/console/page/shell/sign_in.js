// @ts-check
import { session, signIn } from '../session.js';
import { html, useEffect, useRef, useState } from '../vendor/preact.js';

/** The form for the API key. It replaces the view, so that the same address is shown after signing in. */
export function SignIn() {
  const { why } = session.use();
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [error, setError] = useState('');
  const [isBusy, setBusy] = useState(false);
  useEffect(() => field.current?.focus(), []);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    setError('');
    const wrong = await signIn(field.current?.value.trim() ?? '');
    if (!wrong) return;
    setBusy(false);
    setError(wrong);
    field.current?.select();
  };
  return html`
    <section class="sign-in" aria-labelledby="sign-in-title">
      <h1 id="sign-in-title">Sign in</h1>
      <p>This server requires an API key. Its operator sets keys with <code>STROM_API_KEY</code> or <code>--api-keys-file</code>.</p>
      ${why && html`<p class="notice" role="status">${why}</p>`}
      <form onSubmit=${submit}>
        <label for="api-key">API key</label>
        <input id="api-key" ref=${field} type="password" autocomplete="current-password" spellcheck="false" required
          aria-invalid=${error ? 'true' : undefined} aria-describedby="api-key-hint api-key-error" />
        <p id="api-key-hint" class="hint">This tab keeps the key until you close the tab or sign out.</p>
        <p id="api-key-error" class="field-error" role="alert">${error}</p>
        <button type="submit" class="primary" disabled=${isBusy}>${isBusy ? 'Checking…' : 'Sign in'}</button>
      </form>
    </section>`;
}
