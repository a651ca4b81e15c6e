import { createByteWriter } from "../../feature_engineering/encoding/byte-writer.ts";
import { writeCanonicalRow } from "../../feature_engineering/encoding/payload-hash.ts";
import type { DeadLetter, LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import type { SourceColumn } from "./schema-compatibility.ts";

/** The dead letter of an event whose id and event time are known with another payload. Its bytes are the row as JSON. */
export function idConflict(
  source: string,
  partition: string,
  columns: readonly SourceColumn[],
  event: LoggedEvent,
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
  return {
    source,
    partition,
    offset: event.offset,
    code: "ID_CONFLICT",
    reason: `An event with id '${event.id}' at ${new Date(event.eventTime).toISOString()} is known with another payload: a correction needs a new id and a larger version.`,
    bytes: out.finish(),
    at: Date.now(),
  };
}
