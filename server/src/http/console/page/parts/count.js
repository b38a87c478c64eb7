// @ts-check

/** `1 link`, `2 links`. @param {number} number @param {string} one */
export const count = (number, one) => `${number} ${one}${number === 1 ? '' : 's'}`;
