import { randomUUID } from "node:crypto";
import { createJsonScanner } from "../json-scanner.ts";

/** JSON whose long lists of numbers were taken out. */
export interface LiftedJson {
  /** The JSON; a list that was taken out is a text of it, `lifted` and its number. */
  readonly text: string;
  readonly lists: ReadonlyMap<string, Float64Array>;
}

const KEY = Buffer.from('"data"');
const [BACKSLASH, COLON, COMMA, OPEN, CLOSE] = [0x5c, 0x3a, 0x2c, 0x5b, 0x5d] as const;
/** Bodies below this are parsed soon enough, bytes. */
const LEAST_BYTES = 4_096;
/** Of a list, lists in lists included. */
const MOST_DEPTH = 8;
/** What no client can write for a list. */
const MARK = `lifted ${randomUUID()} `;
const scanner = createJsonScanner();

/**
 * Reads the lists of numbers, nested or not, that are a member `data` of some object: five times as fast as `JSON.parse`
 * does, which makes a value of each. Null where there is nothing to be won, or a list holds anything else.
 */
export function liftNumbers(bytes: Buffer): LiftedJson | null {
  if (bytes.length < LEAST_BYTES) return null;
  const lists = new Map<string, Float64Array>();
  let text = "";
  let done = 0;
  for (let at = bytes.indexOf(KEY); at >= 0; at = bytes.indexOf(KEY, at + KEY.length)) {
    // Else the quote belongs to a text.
    if (at === 0 || bytes[at - 1] === BACKSLASH) continue;
    scanner.start(bytes, at + KEY.length, bytes.length);
    if (!scanner.take(COLON)) continue;
    scanner.peek();
    const from = scanner.at;
    const numbers = readNumbers(bytes.length - from);
    if (numbers === null) return null;
    const mark = `${MARK}${lists.size}`;
    lists.set(mark, numbers);
    text += `${bytes.toString("utf8", done, from)}"${mark}"`;
    done = scanner.at;
    at = done - KEY.length;
  }
  return lists.size === 0 ? null : { text: text + bytes.toString("utf8", done), lists };
}

/** Null for anything but lists of numbers that hold one at least. */
function readNumbers(bytes: number): Float64Array | null {
  // A number and its comma take two bytes at least.
  let numbers = new Float64Array(Math.min(1_024, bytes));
  let count = 0;
  let depth = 0;
  for (;;) {
    while (scanner.take(OPEN)) if (++depth > MOST_DEPTH) return null;
    if (depth === 0) return null;
    const number = scanner.number();
    if (Number.isNaN(number)) return null;
    if (count === numbers.length) {
      const more = new Float64Array(2 * count);
      more.set(numbers);
      numbers = more;
    }
    numbers[count++] = number;
    while (scanner.take(CLOSE)) if (--depth === 0) return numbers.subarray(0, count);
    if (!scanner.take(COMMA)) return null;
  }
}
