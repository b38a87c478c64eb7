// @ts-check
// A view with unsaved text can object before the page shows another view.

/** @type {(() => boolean) | undefined} */
let asked;

/** @param {() => boolean} ask returns whether the page may follow the new address @returns {() => void} removes the guard */
export function guard(ask) {
  asked = ask;
  return () => {
    if (asked === ask) asked = undefined;
  };
}

export const mayLeave = () => asked?.() ?? true;
