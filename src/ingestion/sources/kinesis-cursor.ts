import { ingestionError } from "../ingestion-error.ts";
import type { ShardStart } from "./kinesis-client.ts";

/** How far a shard was read, as the cold store keeps it. */
export interface ShardCursor {
  readonly position: ShardStart | { readonly at: "end" };
  /** The moment that the source was told to start at, which the shard's children inherit; null: from the beginning. */
  readonly from: number | null;
}

export function writeCursor(cursor: ShardCursor): string {
  return JSON.stringify(cursor);
}

/** @throws `KINESIS_CURSOR_INVALID` if the text was not written here */
export function readCursor(text: string, shard: string): ShardCursor {
  try {
    const cursor = JSON.parse(text) as ShardCursor;
    if (["trim", "time", "after", "end"].includes(cursor.position.at)) return cursor;
  } catch {
    // Refused below.
  }
  throw ingestionError(
    "KINESIS_CURSOR_INVALID",
    `The stored position of shard ${shard} is not one of a Kinesis source: a source's name keeps its transport; give the Kinesis source a name of its own.`,
  );
}
