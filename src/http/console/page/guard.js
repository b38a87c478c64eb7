// @ts-check
// Who has something unsaved is asked before another view takes the place of theirs.

/** @type {(() => boolean) | undefined} */
let asked;

/** @param {() => boolean} ask whether the address may change to what it is now @returns {() => void} the end of it */
export function guard(ask) {
  asked = ask;
  return () => {
    if (asked === ask) asked = undefined;
  };
}

export const mayLeave = () => asked?.() ?? true;
