// @ts-check
// A text area with line numbers that can mark a position. Browsers provide the rest of an editor: undo, search and shortcuts.
import { position } from '../json/path.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from '../vendor/preact.js';

/** @typedef {{ offset: number, end?: number, words: string }} Mark */

/**
 * @param {{ text: string, onText: (text: string) => void, mark?: Mark, id: string, describedBy: string, onSave: () => void }} props
 */
export function Editor({ text, onText, mark, id, describedBy, onSave }) {
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const [scroll, setScroll] = useState({ top: 0, height: 600 });
  const line = mark ? position(text, mark.offset).line : undefined;
  const lines = text.split('\n').length;

  // The text area owns its text, so that undo works. It is set only if the new text did not come from the text area.
  useLayoutEffect(() => {
    const element = area.current;
    if (element && element.value !== text) element.value = text;
  }, [text]);
  // Moves the caret to a new mark, and scrolls its line into view.
  useEffect(() => {
    const element = area.current;
    if (!element || !mark || line === undefined) return;
    element.focus();
    element.setSelectionRange(mark.offset, mark.end ?? mark.offset);
    const height = lineHeight(element);
    const top = (line - 1) * height;
    if (top < element.scrollTop || top > element.scrollTop + element.clientHeight - 3 * height) element.scrollTop = top - element.clientHeight / 3;
    element.scrollLeft = 0;
  }, [mark]);
  const onScroll = () => {
    const element = area.current;
    if (element) setScroll({ top: element.scrollTop, height: element.clientHeight });
  };
  useEffect(onScroll, []);

  const high = area.current ? lineHeight(area.current) : 21;
  const first = Math.max(0, Math.floor(scroll.top / high) - 5);
  const last = Math.min(lines, first + Math.ceil(scroll.height / high) + 12);
  const numbers = Array.from({ length: Math.max(0, last - first) }, (_, index) => first + index + 1);
  return html`
    <div class=${`editor ${mark ? 'has-mark' : ''}`}>
      <div class="gutter" aria-hidden="true">
        <div class="numbers" ref=${shift(first * high - scroll.top)}>
          ${numbers.map((number) => html`<span key=${number} class=${number === line ? 'marked' : ''}>${number}</span>`)}
        </div>
      </div>
      <div class="paper">
        ${line !== undefined && html`<div class="line-mark" ref=${shift((line - 1) * high - scroll.top)}></div>`}
        <textarea ref=${area} id=${id} wrap="off" spellcheck=${false} autocomplete="off" autocapitalize="off" aria-describedby=${describedBy}
          aria-invalid=${mark ? 'true' : undefined} defaultValue=${text} onScroll=${onScroll}
          onInput=${(/** @type {any} */ event) => onText(event.currentTarget.value)}
          onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
            if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 's') {
              event.preventDefault();
              onSave();
            }
          }}></textarea>
      </div>
    </div>`;
}

/** Moves an element by script, because the content security policy forbids styles in markup. @param {number} top */
const shift = (top) => (/** @type {HTMLElement | null} */ element) => {
  if (element) element.style.transform = `translateY(${top}px)`;
};

/** @param {HTMLElement} element */
const lineHeight = (element) => Number.parseFloat(getComputedStyle(element).lineHeight) || 21;
