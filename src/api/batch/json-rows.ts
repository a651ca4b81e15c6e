import { jsonFailure, parseJson } from "../../ingestion/decoders/json-decoder.ts";
import { apiError } from "../api-errors.ts";
import { isObject, type JsonObject } from "../request-body.ts";
import { type GivenRows, type RowRefused, refused, rowTooLong } from "./given-rows.ts";

const NEWLINE = 10;
const QUOTE = 34;
const BACKSLASH = 92;
const OPENERS: ReadonlySet<number> = new Set([123, 91]);
const CLOSERS: ReadonlySet<number> = new Set([125, 93]);
const COMMA = 44;
const LIST_OPENS = 91;
const LIST_CLOSES = 93;

/** Rows of NDJSON: those of each piece of the body as it comes. Blank lines are no rows. */
export async function* ndjsonRows(body: AsyncIterable<Buffer>, rowBytes: number): AsyncGenerator<GivenRows> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  let count = 0;
  for await (const piece of body) {
    const rows: (JsonObject | RowRefused)[] = [];
    let from = 0;
    for (let end = piece.indexOf(NEWLINE); end >= 0; end = piece.indexOf(NEWLINE, from)) {
      const line = restBytes === 0 ? piece.subarray(from, end) : Buffer.concat([...rest, piece.subarray(0, end)]);
      rest = [];
      restBytes = 0;
      from = end + 1;
      pushRow(rows, line);
    }
    if (from < piece.length) {
      rest.push(piece.subarray(from));
      restBytes += piece.length - from;
    }
    count += rows.length;
    if (restBytes > rowBytes) throw rowTooLong(count, rowBytes);
    if (rows.length > 0) yield { kind: "records", rows };
  }
  const rows: (JsonObject | RowRefused)[] = [];
  pushRow(rows, Buffer.concat(rest));
  if (rows.length > 0) yield { kind: "records", rows };
}

/** Rows of a JSON list of objects, or of the only member `rows` of an object, without holding all of it. */
export async function* jsonRows(body: AsyncIterable<Buffer>, rowBytes: number): AsyncGenerator<GivenRows> {
  const scanner = elementScanner(rowBytes);
  // One piece late, so that a short body that is no JSON is refused and not answered in part.
  let rows: (JsonObject | RowRefused)[] = [];
  for await (const piece of body) {
    const next = scanner.take(piece);
    if (rows.length > 0) yield { kind: "records", rows };
    rows = next;
  }
  scanner.end();
  if (rows.length > 0) yield { kind: "records", rows };
}

/** Splits the elements of a list at their commas; only brackets and strings are looked at, the rest is `JSON.parse`'s. */
function elementScanner(rowBytes: number): { take(piece: Buffer): (JsonObject | RowRefused)[]; end(): void } {
  let head: string | null = "";
  let tail: string | null = null;
  let element: Buffer[] = [];
  let elementBytes = 0;
  let depth = 0;
  let inText = false;
  let isEscaped = false;
  let afterComma = false;
  let isWrapped = false;
  let count = 0;

  /** The position after the bracket that opens the list of rows. */
  function readHead(piece: Buffer): number {
    const at = piece.indexOf(LIST_OPENS);
    head += piece.toString("utf8", 0, at < 0 ? piece.length : at);
    if (at < 0 && head!.length < 1_000) return piece.length;
    const start = head!.replace(/^\ufeff/, "").trim();
    isWrapped = /^\{\s*"rows"\s*:$/.test(start);
    if (start !== "" && !isWrapped) throw malformed('must begin as a list, [{…}, …], or as {"rows": [');
    head = null;
    return at + 1;
  }

  function finish(rows: (JsonObject | RowRefused)[], isLast: boolean): void {
    const text = Buffer.concat(element);
    element = [];
    elementBytes = 0;
    if (/^\s*$/.test(text.toString("latin1", 0, Math.min(text.length, 100))) && text.toString().trim() === "") {
      if (isLast && !afterComma) return;
      throw malformed(`has a comma too many after row ${count - 1}`);
    }
    pushRow(rows, text);
    count++;
  }

  return {
    take(piece) {
      const rows: (JsonObject | RowRefused)[] = [];
      let at = head === null ? 0 : readHead(piece);
      if (head !== null) return rows;
      let from = at;
      for (; tail === null && at < piece.length; at++) {
        const byte = piece[at]!;
        if (inText) {
          if (isEscaped) isEscaped = false;
          else if (byte === BACKSLASH) isEscaped = true;
          else if (byte === QUOTE) inText = false;
        } else if (byte === QUOTE) {
          inText = true;
        } else if (depth === 0 && (byte === COMMA || byte === LIST_CLOSES)) {
          element.push(piece.subarray(from, at));
          finish(rows, byte === LIST_CLOSES);
          afterComma = byte === COMMA;
          from = at + 1;
          if (byte === LIST_CLOSES) tail = "";
        } else if (OPENERS.has(byte)) {
          depth++;
        } else if (CLOSERS.has(byte)) {
          depth--;
        }
      }
      if (tail !== null) {
        tail += piece.toString("utf8", from);
        if (tail.length > 100 || !/^\s*\}?\s*$/.test(tail)) throw malformed("goes on after the list of rows");
        return rows;
      }
      element.push(piece.subarray(from));
      elementBytes += piece.length - from;
      if (elementBytes > rowBytes) throw rowTooLong(count, rowBytes);
      return rows;
    },
    end() {
      if (tail === null || tail.includes("}") !== isWrapped) throw malformed("ends before its list of rows does");
    },
  };
}

function pushRow(rows: (JsonObject | RowRefused)[], bytes: Buffer): void {
  const text = bytes.toString("utf8");
  let row: unknown;
  try {
    row = parseJson(text, true);
  } catch (error) {
    if (text.trim() !== "") rows.push(refused("BODY_MALFORMED", jsonFailure(text, error).reason));
    return;
  }
  rows.push(isObject(row) ? row : refused("REQUEST_INVALID", "A row must be a JSON object."));
}

function malformed(what: string): Error {
  return apiError("BODY_MALFORMED", `The body is no list of rows: it ${what}.`);
}
