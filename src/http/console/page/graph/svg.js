// @ts-check
const NAMESPACE = 'http://www.w3.org/2000/svg';

/**
 * An SVG element. Without Preact: a graph of 500 nodes is some 6,000 elements that never change one by one.
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

/** A text of at most so many characters; the whole of it is told on hovering. @param {string} text @param {number} most */
export const short = (text, most) => ([...text].length > most ? `${[...text].slice(0, most - 1).join('')}…` : text);
