import type { SourceMeta } from "../../definitions/source.ts";
import type { Value } from "../../definitions/value.ts";
import type { StreamMessage } from "../../ingestion/stream-message.ts";
import { createPayloadHasher } from "../encoding/payload-hash.ts";
import type { LoggedEvent } from "./event-log.ts";

/**
 * Compiles how a source's messages become log entries: id, version and payload hash are taken from the payload. Without
 * `hashes`, where nobody looks at it, the hash is 0.
 */
export function createMessageLogger(
  source: SourceMeta,
  { hashes = true }: { readonly hashes?: boolean } = {},
): (message: StreamMessage, partitionId: number) => LoggedEvent {
  const indexOf = (name: string | null): number => source.columns.findIndex((column) => column.name === name);
  const idIndex = indexOf(source.id);
  const versionIndex = indexOf(source.version);
  const ingestedAtIndex = indexOf(source.ingestedAt);
  const hash = createPayloadHasher(source.columns);
  const words = new Uint32Array(4);
  return (message, partitionId) => {
    const row = message.payload;
    if (hashes) hash(row, words);
    const [hash0, hash1, hash2, hash3] = words as unknown as [number, number, number, number];
    return {
      partitionId,
      offset: message.offset,
      eventTime: message.eventTime,
      version: versionIndex < 0 ? null : (row[versionIndex] as number | bigint | null),
      ingestedAt: ingestedAtIndex < 0 ? message.ingestedAt : (row[ingestedAtIndex] as number),
      hash0,
      hash1,
      hash2,
      hash3,
      id: source.kind === "table_source" ? hex(words) : idIndex < 0 ? null : textOf(row[idIndex]),
      row,
    };
  };
}

function textOf(value: Value | undefined): string | null {
  return typeof value === "string" ? value : null;
}

function hex(words: Uint32Array): string {
  let text = "";
  for (const word of words) text += word.toString(16).padStart(8, "0");
  return text;
}
