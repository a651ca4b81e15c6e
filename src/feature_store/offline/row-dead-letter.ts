import { createByteWriter } from "../../feature_engineering/encoding/byte-writer.ts";
import { writeCanonicalRow } from "../../feature_engineering/encoding/payload-hash.ts";
import type { DeadLetter, LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import type { SourceColumn } from "./schema-compatibility.ts";

/** The dead letter of an event that was decoded, and that the store does not take. Its bytes are the row as JSON. */
export function rowDeadLetter(
  { source, partition }: Pick<DeadLetter, "source" | "partition">,
  columns: readonly SourceColumn[],
  event: LoggedEvent,
  failure: Pick<DeadLetter, "code" | "reason">,
): DeadLetter {
  const indexes = columns.map((_, index) => index);
  indexes.sort((a, b) => (columns[a]!.name < columns[b]!.name ? -1 : 1));
  const out = createByteWriter();
  writeCanonicalRow(
    out,
    indexes.map((index) => columns[index]!),
    event.row,
    indexes,
  );
  return { source, partition, offset: event.offset, ...failure, bytes: out.finish(), at: Date.now() };
}
