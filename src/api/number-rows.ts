import type { FeatureServiceMeta } from "../definitions/feature-service.ts";
import type { ServiceRuntime } from "../feature_store/service-runtime.ts";
import { readJsonNumber } from "./json-number.ts";
import { createJsonScanner } from "./json-scanner.ts";

/** Rows of numbers, one after another, with the columns of the model's service in their order; NaN is null. */
export interface NumberMatrixRows {
  readonly count: number;
  readonly matrix: Float64Array;
  /** Gives the memory to a later body: the matrix is not read any more. */
  release(): void;
}

/** The rows of a predict body; null for a body of any other form or with an error. */
export type NumberRows = (bytes: Uint8Array, from: number, to: number) => NumberMatrixRows | null;

const ROWS: Uint8Array = Buffer.from('"rows"');
const NULL: Uint8Array = Buffer.from("null");
const [OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, COLON, COMMA, SMALL_N] = [0x7b, 0x7d, 0x5b, 0x5d, 0x3a, 0x2c, 0x6e] as const;
/** Memory that is kept from one body to the next, numbers. */
const KEPT = 262_144;

/**
 * Compiles how the body `{"rows": [{…}, …]}` is read for a service all of whose columns are request columns as they are,
 * and numbers: without a value or an object for any of them. A row has each column once, and nothing else. Null for any
 * other service.
 *
 * Rows of one client are written alike: what stands between the numbers of the last row is compared with the next one's,
 * and only where it differs are names read. What is wrong or rare is not read, as by `compilePlainRows`.
 */
export function compileNumberRows(runtime: ServiceRuntime, maxRows: number): NumberRows | null {
  const { service, row } = runtime;
  const { lookup } = service;
  const places = givenColumns(runtime);
  const names = lookup.map(({ name }) => JSON.stringify(name));
  if (places === null || names.some((name) => name.includes("\\"))) return null;
  const quoted: Uint8Array[] = names.map((name) => Buffer.from(name));
  const width = lookup.length;
  const outWidth = row.columns.length;
  const mayBeNull = lookup.map(({ type }) => type.nullable);
  /** Of the last row that was read by names: which column each place has, and the bytes before its number. */
  const order = new Int32Array(width);
  const starts = new Int32Array(width);
  const ends = new Int32Array(width);
  const taken = new Uint8Array(width);
  const cells = new Float64Array(width);
  const scanner = createJsonScanner();
  let kept: Float64Array | null = null;

  /** The number, or null as NaN, of the column; −1 for neither. */
  function readCell(bytes: Uint8Array, at: number, column: number): number {
    const end = readJsonNumber(bytes, at, cells, column);
    if (end >= 0) return Number.isFinite(cells[column]) ? end : -1;
    if (bytes[at] !== SMALL_N || mayBeNull[column] !== true) return -1;
    for (let i = 1; i < NULL.length; i++) if (bytes[at + i] !== NULL[i]) return -1;
    cells[column] = Number.NaN;
    return at + NULL.length;
  }

  /** Reads a row that is written as the last one was; its end, or −1. */
  function readAlike(bytes: Uint8Array, from: number): number {
    let at = from;
    for (let place = 0; place < width; place++) {
      const end = ends[place]!;
      for (let like = starts[place]!; like < end; like++, at++) if (bytes[at] !== bytes[like]) return -1;
      at = readCell(bytes, at, order[place]!);
      if (at < 0) return -1;
    }
    return bytes[at] === CLOSE ? at + 1 : -1;
  }

  /** Reads a row by its names; its end, or −1. */
  function readNamed(bytes: Uint8Array, from: number): number {
    taken.fill(0);
    scanner.at = from;
    let start = from;
    if (!scanner.take(OPEN)) return -1;
    for (let place = 0; place < width; place++) {
      if (place > 0 && !scanner.take(COMMA)) return -1;
      const expected = order[place]!;
      const column = scanner.takeAll(quoted[expected]!) ? expected : quoted.findIndex((name) => scanner.takeAll(name));
      if (column < 0 || taken[column] === 1 || !scanner.take(COLON)) return -1;
      scanner.peek();
      taken[column] = 1;
      order[place] = column;
      starts[place] = start;
      ends[place] = scanner.at;
      start = readCell(bytes, scanner.at, column);
      if (start < 0) return -1;
      scanner.at = start;
    }
    return scanner.take(CLOSE) ? scanner.at : -1;
  }

  function keep(matrix: Float64Array): void {
    if (matrix.length <= KEPT) kept = matrix;
  }

  return (bytes, from, to) => {
    scanner.start(bytes, from, to);
    if (!scanner.take(OPEN) || !scanner.takeAll(ROWS) || !scanner.take(COLON) || !scanner.take(OPEN_LIST)) return null;
    let matrix = kept ?? new Float64Array(64 * outWidth);
    kept = null;
    let count = 0;
    let isRight = true;
    do {
      scanner.peek();
      let end = count === 0 ? -1 : readAlike(bytes, scanner.at);
      if (end < 0) end = readNamed(bytes, scanner.at);
      isRight = end >= 0 && end <= to && count < maxRows;
      if (!isRight) break;
      scanner.at = end;
      const start = count * outWidth;
      if (start + outWidth > matrix.length) {
        const more = new Float64Array(2 * matrix.length);
        more.set(matrix);
        matrix = more;
      }
      // −0 is 0.
      for (let c = 0; c < outWidth; c++) matrix[start + c] = cells[places[c]!]! + 0;
      count++;
    } while (scanner.take(COMMA));
    isRight = isRight && scanner.take(CLOSE_LIST) && scanner.take(CLOSE) && Number.isNaN(scanner.peek());
    if (isRight) return { count, matrix: matrix.subarray(0, count * outWidth), release: () => keep(matrix) };
    keep(matrix);
    return null;
  };
}

/** Per column of the rows the lookup column that it is, unchanged; null if one is anything else, or no double. */
function givenColumns({ service, row, lookups }: ServiceRuntime): Int32Array | null {
  if (lookups.length > 0 || !service.lookup.every(isDouble)) return null;
  const places = row.columns.map(({ feature }) => {
    const expression = service.features.find(({ name }) => name === feature)?.expression;
    return expression?.op === "request" ? service.lookup.findIndex(({ name }) => name === expression.column) : -1;
  });
  return places.includes(-1) ? null : Int32Array.from(places);
}

function isDouble({ type, role }: FeatureServiceMeta["lookup"][number]): boolean {
  return type.kind === "float64" && role === "request";
}
