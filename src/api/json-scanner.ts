/** Reads JSON's bytes one piece after another. What it does not read, `JSON.parse` may still. */
export interface JsonScanner {
  /** The next byte to read. */
  at: number;
  /** From here on, up to `to`. */
  start(bytes: Uint8Array, from: number, to: number): void;
  /** The next byte that is no white space; NaN at the end. It is not passed. */
  peek(): number;
  /** Passes the next byte that is no white space if it is this one. */
  take(byte: number): boolean;
  /** Passes these bytes if they are next, after white space. */
  takeAll(expected: Uint8Array): boolean;
  /** A number as `JSON.parse` reads it; NaN if there is none that JSON has. */
  number(): number;
  /** The bytes of a text without escapes and control characters, up to its closing quote; null for any other. */
  text(): Uint8Array | null;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const BIG_E = 0x45;
const SMALL_E = 0x65;
const SPACE = 0x20;
/** Powers of ten that doubles hold exactly. */
const TENS: Float64Array = Float64Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));

/**
 * A double is a whole number of at most 2^53 divided by a power of ten of at most 10^22, both exact, so that one
 * division rounds once; what is longer is left to `Number`. Source: W. Clinger, "How to Read Floating Point Numbers
 * Accurately", PLDI 1990.
 */
export function createJsonScanner(): JsonScanner {
  let bytes: Uint8Array = new Uint8Array(0);
  let end = 0;

  const isDigit = (byte: number): boolean => byte >= ZERO && byte <= NINE;

  const scanner: JsonScanner = {
    at: 0,
    start(next, from, to) {
      bytes = next;
      scanner.at = from;
      end = to;
    },
    peek() {
      let { at } = scanner;
      while (at < end) {
        const byte = bytes[at]!;
        if (byte > SPACE || (byte !== SPACE && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) {
          scanner.at = at;
          return byte;
        }
        at++;
      }
      scanner.at = at;
      return Number.NaN;
    },
    take(byte) {
      if (scanner.peek() !== byte) return false;
      scanner.at++;
      return true;
    },
    takeAll(expected) {
      scanner.peek();
      const from = scanner.at;
      if (from + expected.length > end) return false;
      for (let i = 0; i < expected.length; i++) if (bytes[from + i] !== expected[i]) return false;
      scanner.at = from + expected.length;
      return true;
    },
    number() {
      const first = scanner.peek();
      const from = scanner.at;
      let at = from;
      const isNegative = first === MINUS;
      if (isNegative) at++;
      // Past the end there is no digit.
      let byte = at < end ? bytes[at]! : 0;
      if (!isDigit(byte)) return Number.NaN;
      let whole = byte - ZERO;
      byte = ++at < end ? bytes[at]! : 0;
      if (whole === 0 && isDigit(byte)) return Number.NaN;
      while (isDigit(byte)) {
        whole = whole * 10 + (byte - ZERO);
        byte = ++at < end ? bytes[at]! : 0;
      }
      let scale = 0;
      if (byte === POINT) {
        const point = at;
        byte = ++at < end ? bytes[at]! : 0;
        while (isDigit(byte)) {
          whole = whole * 10 + (byte - ZERO);
          byte = ++at < end ? bytes[at]! : 0;
        }
        scale = at - point - 1;
        if (scale === 0) return Number.NaN;
      }
      let hasExponent = false;
      if (byte === SMALL_E || byte === BIG_E) {
        hasExponent = true;
        byte = ++at < end ? bytes[at]! : 0;
        if (byte === MINUS || byte === PLUS) byte = ++at < end ? bytes[at]! : 0;
        if (!isDigit(byte)) return Number.NaN;
        while (isDigit(byte)) byte = ++at < end ? bytes[at]! : 0;
      }
      scanner.at = at;
      if (hasExponent || whole > Number.MAX_SAFE_INTEGER || scale >= TENS.length) return Number(asciiText(from, at));
      const value = scale === 0 ? whole : whole / TENS[scale]!;
      return isNegative ? -value : value;
    },
    text() {
      if (!scanner.take(QUOTE)) return null;
      const from = scanner.at;
      let at = from;
      for (; at < end; at++) {
        const byte = bytes[at]!;
        if (byte === QUOTE) break;
        if (byte === BACKSLASH || byte < SPACE) return null;
      }
      if (at >= end) return null;
      scanner.at = at + 1;
      return bytes.subarray(from, at);
    },
  };

  function asciiText(from: number, to: number): string {
    let text = "";
    for (let i = from; i < to; i++) text += String.fromCharCode(bytes[i]!);
    return text;
  }

  return scanner;
}
