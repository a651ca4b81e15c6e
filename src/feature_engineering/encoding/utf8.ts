import type { MillraceError } from "../../definitions/errors.ts";
import { malformedBytes } from "./encoding-errors.ts";

/** How many bytes the UTF-8 of a string takes; a lone surrogate counts as U+FFFD. */
export function utf8Length(value: string): number {
  const length = value.length;
  let count = length;
  for (let index = 0; index < length; index++) {
    const unit = value.charCodeAt(index);
    if (unit < 0x80) continue;
    if (unit < 0x800) {
      count += 1;
    } else {
      // A pair takes four bytes for its two units; everything else here takes three for one.
      count += 2;
      if (isPair(value, index, unit)) index++;
    }
  }
  return count;
}

/** Writes the UTF-8 of a string at `position` into an array that has room for it; returns the position after it. */
export function writeUtf8(value: string, into: Uint8Array, position: number): number {
  const length = value.length;
  let at = position;
  for (let index = 0; index < length; index++) {
    let unit = value.charCodeAt(index);
    if (unit < 0x80) {
      into[at++] = unit;
    } else if (unit < 0x800) {
      into[at++] = 0xc0 | (unit >> 6);
      into[at++] = 0x80 | (unit & 63);
    } else if (isPair(value, index, unit)) {
      const point = 0x10000 + ((unit - 0xd800) << 10) + (value.charCodeAt(++index) - 0xdc00);
      into[at++] = 0xf0 | (point >> 18);
      into[at++] = 0x80 | ((point >> 12) & 63);
      into[at++] = 0x80 | ((point >> 6) & 63);
      into[at++] = 0x80 | (point & 63);
    } else {
      if (unit >= 0xd800 && unit < 0xe000) unit = 0xfffd;
      into[at++] = 0xe0 | (unit >> 12);
      into[at++] = 0x80 | ((unit >> 6) & 63);
      into[at++] = 0x80 | (unit & 63);
    }
  }
  return at;
}

function isPair(value: string, index: number, unit: number): boolean {
  if (unit < 0xd800 || unit >= 0xdc00) return false;
  const next = value.charCodeAt(index + 1);
  return next >= 0xdc00 && next < 0xe000;
}

/** The string whose UTF-8 is `bytes` from `start` to before `end`. */
export function readUtf8(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  let index = start;
  // Four ASCII characters at a time: each call and each concatenation costs more than the characters themselves.
  while (index + 4 <= end) {
    const a = bytes[index]!;
    const b = bytes[index + 1]!;
    const c = bytes[index + 2]!;
    const d = bytes[index + 3]!;
    if ((a | b | c | d) >= 0x80) break;
    text += String.fromCharCode(a, b, c, d);
    index += 4;
  }
  while (index < end) {
    const first = bytes[index++]!;
    if (first < 0x80) {
      text += String.fromCharCode(first);
      continue;
    }
    const more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || index + more > end) throw notUtf8(index - 1);
    let point = first & (more === 3 ? 7 : more === 2 ? 15 : 31);
    for (let count = 0; count < more; count++) {
      const byte = bytes[index++]!;
      if ((byte & 0xc0) !== 0x80) throw notUtf8(index - 1);
      point = (point << 6) | (byte & 63);
    }
    if (point > 0x10ffff) throw notUtf8(index - 1);
    text += String.fromCodePoint(point);
  }
  return text;
}

function notUtf8(position: number): MillraceError {
  return malformedBytes("a string that is not UTF-8", position);
}
