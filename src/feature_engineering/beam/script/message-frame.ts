import type { ByteReader } from "../../encoding/byte-reader.ts";

/** A message that is not plain text. */
export interface BinaryMessage {
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** Why its transport's encoding could not be undone; null if it could. */
  readonly failure: string | null;
}

/** Visits each message of a frame. */
export type VisitMessage = (
  index: number,
  /** Null: a tombstone, which is no event. */
  message: string | BinaryMessage | null,
  offset: number,
  /** Epoch milliseconds; null where the transport does not know. */
  arrival: number | null,
  partition: number,
) => void;

export interface FramePartition {
  readonly name: string;
  /** The first record of a CSV file; empty if there is none. */
  readonly header: string;
}

/** Reads the names of a frame's partitions: their number, then name and header of each. */
export function readPartitions(input: ByteReader): readonly FramePartition[] {
  return Array.from({ length: input.varint() }, () => ({ name: input.string(), header: input.string() }));
}

/**
 * Reads the rest of a frame: 0, then the number of messages, of each its partition, how many characters of `text` are its
 * own, plus one (0: it has none), its offset, and its arrival plus one, zigzag (0: unknown).
 *
 * Or 2, then the number of messages that are none, of each its index and why; then as behind 0.
 *
 * Or 1, then the number of the registry's schemas that messages name, of each its id and its JSON; then the number of
 * messages, of each its partition, offset and arrival as above, the number of its headers and these, and 0 (it has
 * none), or 1 and its bytes, or 2 and why it has none.
 */
export function visitMessages(
  input: ByteReader,
  text: string,
  visit: VisitMessage,
  learn: (id: number, schema: string) => void,
): void {
  const form = input.varint();
  if (form === 1) {
    for (let schemas = input.varint(); schemas > 0; schemas--) learn(input.varint(), input.string());
    visitBinary(input, visit);
    return;
  }
  const failures = form === 2 ? readFailures(input) : null;
  const count = input.varint();
  let at = 0;
  for (let index = 0; index < count; index++) {
    const partition = input.varint();
    const length = input.varint();
    const offset = input.zigzag();
    const arrival = input.zigzag();
    const end = length === 0 ? at : at + length - 1;
    // A byte order mark is not part of the text.
    const start = end > at && text.charCodeAt(at) === 0xfeff ? at + 1 : at;
    const message = length === 0 ? (failures?.get(index) ?? null) : text.slice(start, end);
    visit(index, message, offset, arrival === 0 ? null : arrival - 1, partition);
    at = end;
  }
}

function readFailures(input: ByteReader): ReadonlyMap<number, BinaryMessage> {
  const failures = new Map<number, BinaryMessage>();
  for (let left = input.varint(); left > 0; left--) {
    const index = input.varint();
    failures.set(index, { bytes: NO_BYTES, headers: NO_HEADERS, failure: input.string() });
  }
  return failures;
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});
const NO_BYTES = new Uint8Array(0);

function visitBinary(input: ByteReader, visit: VisitMessage): void {
  const count = input.varint();
  for (let index = 0; index < count; index++) {
    const partition = input.varint();
    const offset = input.zigzag();
    const arrival = input.zigzag();
    const headers = readHeaders(input);
    const kind = input.u8();
    const message =
      kind === 0
        ? null
        : kind === 1
          ? { bytes: input.bytes(), headers, failure: null }
          : { bytes: NO_BYTES, headers, failure: input.string() };
    visit(index, message, offset, arrival === 0 ? null : arrival - 1, partition);
  }
}

function readHeaders(input: ByteReader): Readonly<Record<string, string>> {
  let left = input.varint();
  if (left === 0) return NO_HEADERS;
  const headers: Record<string, string> = {};
  for (; left > 0; left--) {
    const name = input.string();
    headers[name] = input.string();
  }
  return headers;
}
