// @ts-check
const NAMESPACE = 'http://www.w3.org/2000/svg';

/**
 * Creates an SVG element without Preact: a graph of 500 nodes has about 6,000 elements that never change individually.
 * @param {string} name @param {Record<string, string | number | undefined>} attributes @param {(Node | string | false | undefined)[]} children
 */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(key, String(value));
  }
  element.append(.../** @type {(Node | string)[]} */ (children.filter((child) => child !== false && child !== undefined)));
  return element;
}

/** Truncates a text to a number of characters. A tooltip shows the complete text. @param {string} text @param {number} most */
export const short = (text, most) => ([...text].length > most ? `${[...text].slice(0, most - 1).join('')}…` : text);
