// @ts-check
// Compares two texts line by line (Myers, "An O(ND) Difference Algorithm", 1986).

/** @typedef {{ left?: string, right?: string, leftNumber?: number, rightNumber?: number }} Row */

/** The maximum number of different lines. Beyond it, the middle of the text is shown as replaced. */
const MOST = 800;

/** @param {string} left @param {string} right @returns {Row[]} */
export function sideBySide(left, right) {
  const [a, b] = [left.split('\n'), right.split('\n')];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const [middleA, middleB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const pairs = matches(middleA, middleB);
  /** @type {Row[]} */
  const rows = [];
  const same = (/** @type {number} */ i, /** @type {number} */ j) =>
    rows.push({ left: a[i], right: b[j], leftNumber: i + 1, rightNumber: j + 1 });
  for (let i = 0; i < start; i += 1) same(i, i);
  let [i, j] = [0, 0];
  for (const [matchA, matchB] of [...pairs, [middleA.length, middleB.length]]) {
    while (i < matchA || j < matchB) {
      /** @type {Row} */
      const row = {};
      if (i < matchA) Object.assign(row, { left: middleA[i], leftNumber: start + i++ + 1 });
      if (j < matchB) Object.assign(row, { right: middleB[j], rightNumber: start + j++ + 1 });
      rows.push(row);
    }
    if (matchA < middleA.length) same(start + i++, start + j++);
  }
  for (let k = end; k > 0; k -= 1) same(a.length - k, b.length - k);
  return rows;
}

/** Whether both sides of a row are the same line. @param {Row} row */
export const isSame = ({ left, right }) => left === right;

/** Returns the pairs of equal lines, in order. @param {string[]} a @param {string[]} b @returns {[number, number][]} */
function matches(a, b) {
  const [n, m] = [a.length, b.length];
  /** @type {Map<number, number>[]} */
  const trace = [];
  let reach = new Map([[1, 0]]);
  for (let d = 0; d <= Math.min(n + m, MOST); d += 1) {
    trace.push(new Map(reach));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1));
      let x = down ? reach.get(k + 1) ?? 0 : (reach.get(k - 1) ?? 0) + 1;
      while (x < n && x - k < m && a[x] === b[x - k]) x += 1;
      reach.set(k, x);
      if (x >= n && x - k >= m) return backwards(trace, n, m);
    }
  }
  return [];
}

/** @param {Map<number, number>[]} trace @param {number} n @param {number} m @returns {[number, number][]} */
function backwards(trace, n, m) {
  /** @type {[number, number][]} */
  const pairs = [];
  let [x, y] = [n, m];
  for (let d = trace.length - 1; d >= 0; d -= 1) {
    const reach = trace[d];
    const k = x - y;
    const down = k === -d || (k !== d && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1));
    const before = down ? k + 1 : k - 1;
    const beforeX = d === 0 ? 0 : reach.get(before) ?? 0;
    const beforeY = d === 0 ? 0 : beforeX - before;
    while (x > beforeX && y > beforeY) pairs.push([--x, --y]);
    [x, y] = [beforeX, beforeY];
  }
  return pairs.reverse();
}
