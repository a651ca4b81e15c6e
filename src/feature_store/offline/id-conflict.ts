import type { DeadLetter, LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import { rowDeadLetter } from "./row-dead-letter.ts";
import type { SourceColumn } from "./schema-compatibility.ts";

/** The dead letter of an event whose id and event time are known with another payload. Its bytes are the row as JSON. */
export function idConflict(
  source: string,
  partition: string,
  columns: readonly SourceColumn[],
  event: LoggedEvent,
): DeadLetter {
  return rowDeadLetter({ source, partition }, columns, event, {
    code: "ID_CONFLICT",
    reason: `An event with id '${event.id}' at ${new Date(event.eventTime).toISOString()} is known with another payload: a correction needs a new id and a larger version.`,
  });
}
