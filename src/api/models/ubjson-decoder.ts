import { corruptModel } from "./model-errors.ts";

/** A decoded UBJSON value. Typed containers of numbers become typed arrays; 64-bit integers become numbers. */
export type UbjsonValue =
  | null
  | boolean
  | number
  | string
  | UbjsonTypedArray
  | readonly UbjsonValue[]
  | { readonly [key: string]: UbjsonValue };

export type UbjsonTypedArray = Int8Array | Uint8Array | Int16Array | Int32Array | Float32Array | Float64Array;

/** Nesting deeper than any model file; it keeps a hostile file from exhausting the stack. */
const MAX_DEPTH = 64;

const MARK = {
  arrayOpen: 0x5b,
  arrayClose: 0x5d,
  objectOpen: 0x7b,
  objectClose: 0x7d,
  type: 0x24,
  count: 0x23,
  noop: 0x4e,
} as const;

interface Reader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly text: InstanceType<typeof TextDecoder>;
  pos: number;
}

/**
 * Decodes one UBJSON document (draft 12), which must fill `bytes` exactly.
 *
 * Strongly typed containers (`[$d#L…`), counted containers and plain ones are read; the high-precision number `H` is
 * not, and neither is a typed container of values without a payload, whose length no number of bytes would bound.
 * Every length is checked against the bytes that are left before anything is allocated, so memory stays proportional
 * to the input.
 *
 * @throws MODEL_CORRUPT when the bytes end early, hold an unknown marker or nest too deep.
 * @see https://ubjson.org
 */
export function decodeUbjson(bytes: Uint8Array): UbjsonValue {
  const reader: Reader = {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    text: new TextDecoder("utf-8", { fatal: true }),
    pos: 0,
  };
  const value = readValue(reader, readMarker(reader), 0);
  if (reader.pos !== bytes.length) {
    throw corruptModel(`${bytes.length - reader.pos} bytes follow the end of the UBJSON document`);
  }
  return value;
}

/** Moves over `size` bytes and returns where they begin. */
function take(reader: Reader, size: number): number {
  const start = reader.pos;
  if (size > reader.bytes.length - start) {
    throw corruptModel(
      `the UBJSON data ends at byte ${reader.bytes.length}, where ${size} more are needed at ${start}`,
    );
  }
  reader.pos = start + size;
  return start;
}

function readMarker(reader: Reader): number {
  let marker = reader.bytes[take(reader, 1)]!;
  while (marker === MARK.noop) marker = reader.bytes[take(reader, 1)]!;
  return marker;
}

function unexpected(reader: Reader, marker: number, where: string): Error {
  return corruptModel(`unexpected UBJSON marker 0x${marker.toString(16)} ${where} at byte ${reader.pos - 1}`);
}

function readValue(reader: Reader, marker: number, depth: number): UbjsonValue {
  switch (marker) {
    case 0x5a: // Z
      return null;
    case 0x54: // T
      return true;
    case 0x46: // F
      return false;
    case 0x53: // S
      return readText(reader);
    case 0x43: // C
      return String.fromCharCode(reader.bytes[take(reader, 1)]!);
    case MARK.arrayOpen:
      return readArray(reader, depth + 1);
    case MARK.objectOpen:
      return readObject(reader, depth + 1);
    default:
      return readNumber(reader, marker);
  }
}

function readNumber(reader: Reader, marker: number): number {
  const { view } = reader;
  switch (marker) {
    case 0x69: // i
      return view.getInt8(take(reader, 1));
    case 0x55: // U
      return view.getUint8(take(reader, 1));
    case 0x49: // I
      return view.getInt16(take(reader, 2));
    case 0x6c: // l
      return view.getInt32(take(reader, 4));
    case 0x4c: // L
      return Number(view.getBigInt64(take(reader, 8)));
    case 0x64: // d
      return view.getFloat32(take(reader, 4));
    case 0x44: // D
      return view.getFloat64(take(reader, 8));
    default:
      throw unexpected(reader, marker, "where a value starts");
  }
}

/** A length or count, which may not exceed the bytes that are left (each item takes at least one). */
function readLength(reader: Reader): number {
  const marker = readMarker(reader);
  if (marker === 0x64 || marker === 0x44) throw unexpected(reader, marker, "where a length is expected");
  const length = readNumber(reader, marker);
  if (length < 0 || length > reader.bytes.length - reader.pos) {
    throw corruptModel(`a UBJSON length of ${length} at byte ${reader.pos} exceeds the data`);
  }
  return length;
}

function readText(reader: Reader): string {
  const length = readLength(reader);
  const start = take(reader, length);
  try {
    return reader.text.decode(reader.bytes.subarray(start, start + length));
  } catch (cause) {
    throw corruptModel(`the text at byte ${start} is not UTF-8`, { cause });
  }
}

interface ContainerHead {
  /** The marker of every item, of a strongly typed container. */
  readonly type: number | null;
  readonly count: number | null;
}

function readContainerHead(reader: Reader, depth: number): ContainerHead {
  if (depth > MAX_DEPTH) throw corruptModel(`the UBJSON data nests deeper than ${MAX_DEPTH} levels`);
  let type: number | null = null;
  if (reader.bytes[reader.pos] === MARK.type) {
    take(reader, 1);
    type = reader.bytes[take(reader, 1)]!;
    if (type === 0x5a || type === 0x54 || type === 0x46 || type === MARK.noop) {
      throw unexpected(reader, type, "as the type of a container");
    }
    if (reader.bytes[reader.pos] !== MARK.count)
      throw corruptModel(`a typed container at byte ${reader.pos} has no count`);
  }
  if (reader.bytes[reader.pos] !== MARK.count) return { type, count: null };
  take(reader, 1);
  return { type, count: readLength(reader) };
}

function readArray(reader: Reader, depth: number): UbjsonValue {
  const { type, count } = readContainerHead(reader, depth);
  if (type !== null && count !== null) {
    const typed = readTypedArray(reader, type, count);
    if (typed !== null) return typed;
  }
  const items: UbjsonValue[] = [];
  if (count !== null) {
    for (let i = 0; i < count; i++) items.push(readValue(reader, type ?? readMarker(reader), depth));
    return items;
  }
  for (let marker = readMarker(reader); marker !== MARK.arrayClose; marker = readMarker(reader)) {
    items.push(readValue(reader, marker, depth));
  }
  return items;
}

function readObject(reader: Reader, depth: number): UbjsonValue {
  const { type, count } = readContainerHead(reader, depth);
  // No prototype: a key like `__proto__` is then an ordinary one.
  const object: Record<string, UbjsonValue> = Object.create(null);
  for (let i = 0; count === null || i < count; i++) {
    if (count === null) {
      while (reader.bytes[reader.pos] === MARK.noop) take(reader, 1);
      if (reader.bytes[reader.pos] === MARK.objectClose) {
        take(reader, 1);
        break;
      }
    }
    const key = readText(reader);
    object[key] = readValue(reader, type ?? readMarker(reader), depth);
  }
  return object;
}

/** Reads the items of a typed container of numbers; null when its items are not numbers. */
function readTypedArray(reader: Reader, type: number, count: number): UbjsonTypedArray | null {
  const { view } = reader;
  switch (type) {
    case 0x69:
      return Int8Array.from(reader.bytes.subarray(take(reader, count), reader.pos));
    case 0x55:
      return reader.bytes.slice(take(reader, count), reader.pos);
    case 0x49:
      return fill(new Int16Array(count), take(reader, 2 * count), 2, (at) => view.getInt16(at));
    case 0x6c:
      return fill(new Int32Array(count), take(reader, 4 * count), 4, (at) => view.getInt32(at));
    case 0x4c:
      return fill(new Float64Array(count), take(reader, 8 * count), 8, (at) => Number(view.getBigInt64(at)));
    case 0x64:
      return fill(new Float32Array(count), take(reader, 4 * count), 4, (at) => view.getFloat32(at));
    case 0x44:
      return fill(new Float64Array(count), take(reader, 8 * count), 8, (at) => view.getFloat64(at));
    default:
      return null;
  }
}

function fill<T extends UbjsonTypedArray>(into: T, start: number, width: number, read: (at: number) => number): T {
  for (let i = 0, at = start; i < into.length; i++, at += width) into[i] = read(at);
  return into;
}
