// @ts-check
// A message that one view leaves for the next: what was saved, what was merged.

let words = '';

/** @param {string} text */
export const leave = (text) => {
  words = text;
};

/** Returns the message and clears it. */
export const take = () => {
  const text = words;
  words = '';
  return text;
};
