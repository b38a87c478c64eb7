// @ts-check
// Words that one view leaves for the next: what was saved, what was merged.

let words = '';

/** @param {string} text */
export const leave = (text) => {
  words = text;
};

/** Once. */
export const take = () => {
  const text = words;
  words = '';
  return text;
};
