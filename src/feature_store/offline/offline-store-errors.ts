import type { MillraceError } from "../../definitions/errors.ts";
import type { OwnedPartition } from "../../feature_engineering/engine/event-log.ts";
import { storeError } from "../store-error.ts";

export function sourceUnknown(source: string): MillraceError {
  return storeError(
    "SOURCE_UNKNOWN",
    `The offline store has no source '${source}': declare it and run \`millrace apply\` first.`,
    { details: { source } },
  );
}

export function historyDropped(source: string, from: number): MillraceError {
  return storeError(
    "HISTORY_DROPPED",
    `The history of '${source}' is complete from ${new Date(from).toISOString()} on, and older events are needed: ask for later moments, give features a window or a ttl, or keep history longer.`,
    { details: { source, complete_from: new Date(from).toISOString() } },
  );
}

export function partitionFenced({ source, partition }: OwnedPartition): MillraceError {
  return storeError(
    "PARTITION_FENCED",
    `Another owner has taken over partition '${partition}' of '${source}': this one must stop and write nothing more.`,
    { kind: "operational", details: { source } },
  );
}
