import type { Value } from "../../definitions/value.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { writeUtf8 } from "./utf8.ts";

/**
 * Writes a value as canonical JSON (RFC 8785), in UTF-8:
 * - a number in JavaScript's shortest round-trip form, so timestamps are integer epoch milliseconds;
 * - an int64 (bigint) as its digits, of whatever length;
 * - a string with exactly the escapes of `JSON.stringify` (a lone surrogate as `\udXXX`);
 * - a list in its order, without spaces; `null`, `true` and `false` as they are.
 */
export function writeCanonicalJson(out: ByteWriter, value: Value): void {
  if (typeof value === "number") writeNumber(out, value);
  else if (typeof value === "string") writeString(out, value);
  else if (value === null) writeAscii(out, "null");
  else if (typeof value === "bigint") writeBigint(out, value);
  else if (typeof value === "boolean") writeAscii(out, value ? "true" : "false");
  else {
    for (let index = 0; index < value.length; index++) {
      out.u8(index === 0 ? 0x5b : 0x2c);
      writeCanonicalJson(out, value[index]!);
    }
    writeAscii(out, value.length === 0 ? "[]" : "]");
  }
}

/** Four ASCII decimals at most: a number that is a multiple of 1/10,000 needs no shortest-form search. */
const decimalScale = 10_000;

function writeNumber(out: ByteWriter, value: number): void {
  if (Number.isSafeInteger(value)) {
    if (value < 0) out.u8(0x2d);
    writeDigits(out, Math.abs(value));
    return;
  }
  const magnitude = Math.abs(value);
  const scaled = Math.round(magnitude * decimalScale);
  // Below 10^15 there are at most 15 digits, and decimals of 15 digits differ as doubles: if this one reads back as the
  // value, it is the only one so short, hence the shortest. From 10^-4 on JavaScript writes no exponent.
  if (scaled > 0 && scaled < 1e15 && scaled / decimalScale === magnitude) {
    if (value < 0) out.u8(0x2d);
    const whole = Math.floor(scaled / decimalScale);
    writeDigits(out, whole);
    writeFraction(out, scaled - whole * decimalScale);
    return;
  }
  writeAscii(out, String(value));
}

/** A point and four digits without the zeros at their end. */
function writeFraction(out: ByteWriter, fraction: number): void {
  const bytes = out.reserve(5);
  const at = out.position;
  bytes[at] = 0x2e;
  let rest = fraction;
  let count = 4;
  while (rest % 10 === 0) {
    rest = (rest / 10) | 0;
    count--;
  }
  for (let index = count; index > 0; index--) {
    bytes[at + index] = 0x30 + (rest % 10);
    rest = (rest / 10) | 0;
  }
  out.advance(count + 1);
}

/** The digits of an integer from 0 to 2^53. */
function writeDigits(out: ByteWriter, value: number): void {
  if (value < 1e9) {
    writeShortDigits(out, value | 0, 1);
    return;
  }
  const high = Math.floor(value / 1e9);
  writeShortDigits(out, high, 1);
  writeShortDigits(out, value - high * 1e9, 9);
}

/** The digits of an integer below 10^9, with zeros before them up to `atLeast` digits. */
function writeShortDigits(out: ByteWriter, value: number, atLeast: number): void {
  let count = atLeast;
  for (let bound = 10 ** atLeast; bound <= value; bound *= 10) count++;
  const bytes = out.reserve(count);
  let rest = value | 0;
  for (let at = out.position + count - 1; at >= out.position; at--) {
    const next = (rest / 10) | 0;
    bytes[at] = 0x30 + (rest - next * 10);
    rest = next;
  }
  out.advance(count);
}

function writeBigint(out: ByteWriter, value: bigint): void {
  const number = Number(value);
  if (Number.isSafeInteger(number)) writeNumber(out, number);
  else writeAscii(out, String(value));
}

function writeString(out: ByteWriter, value: string): void {
  const length = value.length;
  const bytes = out.reserve(length + 2);
  const start = out.position + 1;
  let index = 0;
  while (index < length) {
    const unit = value.charCodeAt(index);
    if (unit < 0x20 || unit === 0x22 || unit === 0x5c || unit >= 0x80) break;
    bytes[start + index++] = unit;
  }
  if (index < length) {
    writeText(out, JSON.stringify(value));
    return;
  }
  bytes[start - 1] = 0x22;
  bytes[start + length] = 0x22;
  out.advance(length + 2);
}

function writeText(out: ByteWriter, text: string): void {
  const bytes = out.reserve(text.length * 3);
  out.advance(writeUtf8(text, bytes, out.position) - out.position);
}

function writeAscii(out: ByteWriter, text: string): void {
  const length = text.length;
  const bytes = out.reserve(length);
  const start = out.position;
  for (let index = 0; index < length; index++) bytes[start + index] = text.charCodeAt(index);
  out.advance(length);
}
