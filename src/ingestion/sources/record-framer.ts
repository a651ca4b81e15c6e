import { csvRecordEnd, MALFORMED, UNCLOSED, withoutCarriageReturn } from "../decoders/csv-record.ts";

/** A piece of a file that is no record: kept for the dead letters. */
export interface BadRecord {
  readonly raw: string;
  readonly reason: string;
}

/** Cuts text that comes in pieces into records; blank lines are none. `last` says that no more text comes. */
export type RecordFramer = (piece: string, last: boolean) => readonly (string | BadRecord)[];

/** Characters of the longest line of JSON. */
const MAX_LINE_LENGTH = 8 * 1024 * 1024;
/** Characters of the longest CSV record: how far the end of a quoted field is looked for. */
const MAX_CSV_RECORD_LENGTH = 1024 * 1024;
/** How much of an overlong record is kept. */
const KEPT_LENGTH = 64 * 1024;

function isBlank(line: string): boolean {
  // Most lines start with a visible character: only the others are looked through.
  return line.length === 0 || (line.charCodeAt(0) <= 32 && line.trim() === "");
}

function tooLong(text: string, start: number, end: number, max: number): BadRecord {
  const kept = Math.min(KEPT_LENGTH, max);
  return {
    raw: text.slice(start, Math.min(end, start + kept)),
    reason: `The record is longer than ${max} characters; at most ${kept} of them are kept.`,
  };
}

/** One record per line. */
export function jsonLinesFramer(maxLength: number = MAX_LINE_LENGTH): RecordFramer {
  let carry = "";
  let skipping = false;
  return (piece, last) => {
    const records: (string | BadRecord)[] = [];
    const text = carry === "" ? piece : carry + piece;
    let at = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", at)) {
      if (skipping) skipping = false;
      else if (end - at > maxLength) records.push(tooLong(text, at, end, maxLength));
      else {
        const line = withoutCarriageReturn(text, at, end);
        if (!isBlank(line)) records.push(line);
      }
      at = end + 1;
    }
    if (!skipping && text.length - at > maxLength) {
      records.push(tooLong(text, at, text.length, maxLength));
      skipping = true;
    }
    carry = skipping ? "" : text.slice(at);
    if (last && carry !== "") {
      const line = withoutCarriageReturn(carry, 0, carry.length);
      if (!isBlank(line)) records.push(line);
      carry = "";
    }
    return records;
  };
}

/**
 * Records of a CSV file; newlines inside quoted fields do not end one. A quote that is never closed, or closed
 * amid a field, spoils its own line only: the next record starts on the next line.
 */
export function csvFramer(delimiter: string, maxLength: number = MAX_CSV_RECORD_LENGTH): RecordFramer {
  const separator = delimiter.charCodeAt(0);
  let carry = "";
  let skipping = false;
  return (piece, last) => {
    const records: (string | BadRecord)[] = [];
    const text = carry === "" ? piece : carry + piece;
    let at = 0;
    let quote = text.indexOf('"');
    while (at < text.length) {
      const newline = text.indexOf("\n", at);
      if (skipping) {
        if (newline < 0) {
          at = text.length;
          break;
        }
        skipping = false;
        at = newline + 1;
        continue;
      }
      if (quote >= 0 && quote < at) quote = text.indexOf('"', at);
      const lineEnd = newline < 0 ? text.length : newline;
      let end = quote < 0 || quote > lineEnd ? lineEnd : csvRecordEnd(text, at, separator, maxLength);
      if (end === MALFORMED) end = lineEnd;
      else if (end === UNCLOSED) end = last && text.length - at <= maxLength ? lineEnd : text.length;
      // Whether a record is too long must not depend on how the file was cut into pieces.
      const long = end - at > maxLength;
      if (!long && end === text.length && !last) break;
      if (long) {
        records.push(tooLong(text, at, lineEnd, maxLength));
        skipping = newline < 0;
        at = lineEnd + 1;
      } else {
        const record = withoutCarriageReturn(text, at, end);
        if (!isBlank(record)) records.push(record);
        at = end + 1;
      }
    }
    carry = text.slice(at);
    return records;
  };
}
