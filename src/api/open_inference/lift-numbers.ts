import { randomUUID } from "node:crypto";
import { readJsonNumber } from "../json-number.ts";

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
/** One request's numbers after another's: memory that is new for each costs more than to read them. */
const spare: Float64Array = new Float64Array(65_536);

/**
 * Reads the lists of numbers, nested or not, that are a member `data` of some object: many times as fast as `JSON.parse`
 * does, which makes a value of each. They hold until the next call. Null where there is nothing to be won, or a list
 * holds anything else.
 */
export function liftNumbers(bytes: Buffer): LiftedJson | null {
  if (bytes.length < LEAST_BYTES) return null;
  const lists = new Map<string, Float64Array>();
  let room = spare;
  let text = "";
  let done = 0;
  for (let at = bytes.indexOf(KEY); at >= 0; at = bytes.indexOf(KEY, at)) {
    at += KEY.length;
    // Else the quote belongs to a text.
    if (at === KEY.length || bytes[at - KEY.length - 1] === BACKSLASH) continue;
    while (isSpace(bytes[at]!)) at++;
    if (bytes[at] !== COLON) continue;
    const from = at + 1;
    const list = readNumbers(bytes, from, room);
    if (list === null) return null;
    const { numbers, end } = list;
    if (numbers.buffer === room.buffer) room = room.subarray(numbers.length);
    const mark = `${MARK}${lists.size}`;
    lists.set(mark, numbers);
    text += `${bytes.toString("utf8", done, from)}"${mark}"`;
    done = end;
    at = end;
  }
  return lists.size === 0 ? null : { text: text + bytes.toString("utf8", done), lists };
}

/** Null for anything but lists of numbers that hold one at least. They stand in `room` where it is large enough. */
function readNumbers(bytes: Uint8Array, from: number, room: Float64Array): NumberList | null {
  let numbers = room;
  let count = 0;
  let depth = 0;
  let at = from;
  for (;;) {
    let byte = bytes[at]!;
    while (byte === OPEN || isSpace(byte)) {
      if (byte === OPEN && ++depth > MOST_DEPTH) return null;
      byte = bytes[++at]!;
    }
    if (depth === 0) return null;
    if (count === numbers.length) {
      const more = new Float64Array(Math.max(1_024, 2 * count));
      more.set(numbers);
      numbers = more;
    }
    at = readJsonNumber(bytes, at, numbers, count);
    if (at < 0) return null;
    count++;
    byte = bytes[at]!;
    while (byte !== COMMA) {
      if (byte === CLOSE) {
        if (--depth === 0) return { numbers: numbers.subarray(0, count), end: at + 1 };
      } else if (!isSpace(byte)) return null;
      byte = bytes[++at]!;
    }
    at++;
  }
}

interface NumberList {
  readonly numbers: Float64Array;
  /** After its last bracket. */
  readonly end: number;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
