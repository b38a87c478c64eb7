// @ts-check
import { begun, subscribe } from '../feed.js';
import { Refused, read, revisionOf, save as store } from '../flows.js';
import { format } from '../json/format.js';
import { NotJson, get, parse } from '../json/parse.js';
import { at, position } from '../json/path.js';
import { leave } from '../notes.js';
import { useCallback, useEffect, useRef, useState } from '../vendor/preact.js';
import { draftOf, drop, keep } from './draft.js';

/** @typedef {import('../json/parse.js').Value} Value */
/** @typedef {{ flow: Value, text: string, revision: number }} Base the revision that an edit is based on */

/** The state of an edit, from the first load to the save. @param {string} id */
export function useEdit(id) {
  const [base, setBase] = useState(/** @type {Base | undefined} */ (undefined));
  const [text, setText] = useState('');
  const [mark, setMark] = useState(/** @type {import('./editor.js').Mark | undefined} */ (undefined));
  const [problem, setProblem] = useState(/** @type {Refused | undefined} */ (undefined));
  const [error, setError] = useState(/** @type {unknown} */ (undefined));
  const [isBusy, setBusy] = useState(false);
  const [restored, setRestored] = useState('');
  const [aside, setAside] = useState(/** @type {{ text: string, base: Base } | undefined} */ (undefined));
  const [elsewhere, setElsewhere] = useState(/** @type {any} */ (undefined));
  const hasUnsaved = base !== undefined && text !== base.text;
  /** The revision that the edit is based on, for callbacks that outlive a render. */
  const began = useRef(0);
  began.current = base?.revision ?? 0;

  const begin = useCallback((/** @type {Value} */ flow, /** @type {number} */ revision, /** @type {string} */ words = format(flow)) => {
    setBase({ flow, text: format(flow), revision });
    setText(words);
    setMark(undefined);
    setProblem(undefined);
    setError(undefined);
    setElsewhere(undefined);
  }, []);

  useEffect(() => {
    let isCurrent = true;
    begun().then(() => open(id)).then(({ flow, revision, draft }) => {
      if (!isCurrent) return;
      begin(flow, revision, draft?.text);
      setRestored(draft?.at ?? '');
    }, (failure) => isCurrent && setError(failure));
    const stop = subscribe((/** @type {any} */ change) => {
      if (change.flow_id === id && change.op !== 'state' && change.revision > began.current && began.current > 0) setElsewhere(change);
    });
    return () => {
      isCurrent = false;
      stop();
    };
  }, [id]);
  useEffect(() => {
    if (!base) return;
    if (hasUnsaved) keep(id, text, base.revision);
    else drop(id);
  }, [id, base, text]);

  /** Saves the text, and leaves a message for the next view. @param {() => ReturnType<typeof store>} attempt @param {(answer: any) => string} said */
  const attempt = async (attempt, said) => {
    const whole = parsed(text);
    if (whole instanceof NotJson) {
      setMark({ offset: whole.offset, words: whole.message });
      return undefined;
    }
    setBusy(true);
    setError(undefined);
    try {
      const answer = await attempt();
      drop(id);
      leave(said(answer));
      return 'saved';
    } catch (failure) {
      refuse(failure, whole);
      return undefined;
    } finally {
      setBusy(false);
    }
  };
  /** @param {unknown} failure @param {Value} whole */
  const refuse = (failure, whole) => {
    if (!(failure instanceof Refused)) return setError(failure);
    if (failure.status === 412 || failure.status === 404) return setProblem(failure);
    const { path, detail } = failure.body;
    if (path === undefined) return setError(failure);
    // The server also accepts `{"flow": …}`. Paths refer to the flow.
    const isFlow = get(whole, 'id') || get(whole, 'name');
    const place = at((!isFlow && get(whole, 'flow')) || whole, path);
    setMark({ offset: place.start, end: Math.min(place.end, place.start + 200), words: detail });
  };

  const newest = () => problem?.body.current?.revision ?? null;
  return {
    base, text, mark, problem, error, isBusy, restored, aside, elsewhere, hasUnsaved,
    place: mark ? `Line ${position(text, mark.offset).line}, column ${position(text, mark.offset).column}:` : '',
    setText: (/** @type {string} */ next) => {
      setText(next);
      setMark(undefined);
    },
    save: () => attempt(() => store(id, text, began.current), ({ revision }) => `Saved as revision ${revision}.`),
    merge: () => attempt(() => store(id, text, began.current, true), ({ revision, merge }) =>
      merge ? `Merged and saved as revision ${revision}: ${merge.words}.` : `Saved as revision ${revision}.`),
    keepMine: () => attempt(() => store(id, text, newest()), ({ revision }) =>
      `Your text was saved as revision ${revision}. Revision ${newest()} stays in the history.`),
    createAgain: () => attempt(() => store(id, text, null), ({ revision }) => `The flow was restored with your text as revision ${revision}.`),
    takeTheirs: () => {
      const theirs = problem?.current;
      if (!theirs || !base) return;
      setAside({ text, base });
      begin(theirs, newest());
      setRestored('');
    },
    bringBack: () => {
      if (!aside) return;
      begin(aside.base.flow, aside.base.revision, aside.text);
      setAside(undefined);
    },
    back: () => setProblem(undefined),
    discard: async () => {
      drop(id);
      setRestored('');
      try {
        const { flow, revision } = await read(id);
        begin(flow, revision);
      } catch (failure) {
        setError(failure);
      }
    },
  };
}

/** Loads the flow, at the revision of its draft if there is one. @param {string} id */
async function open(id) {
  const draft = draftOf(id);
  if (draft) {
    try {
      return { flow: await revisionOf(id, draft.revision), revision: draft.revision, draft };
    } catch {
      // That revision no longer exists. The draft is compared with the current flow.
    }
  }
  return { ...(await read(id)), draft };
}

/** @param {string} text @returns {Value | NotJson} */
function parsed(text) {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof NotJson) return error;
    throw error;
  }
}
