import { readJsonNumber } from "./json-number.ts";

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
const SPACE = 0x20;

export function createJsonScanner(): JsonScanner {
  let bytes: Uint8Array = new Uint8Array(0);
  let end = 0;
  const cell = new Float64Array(1);

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
      scanner.peek();
      const next = readJsonNumber(bytes, scanner.at, cell, 0);
      if (next < 0 || next > end) return Number.NaN;
      scanner.at = next;
      return cell[0]!;
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

  return scanner;
}
