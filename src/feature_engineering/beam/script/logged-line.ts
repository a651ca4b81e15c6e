import type { ColumnTypeSpec } from "../../../definitions/value.ts";
import type { LoggedEvent } from "../../engine/event-log.ts";
import { jsonOfValue, valueOfJson } from "./fit-frame.ts";

/**
 * An event of the log as the launcher writes it for the workers: a line of JSON. It keeps what files of raw events do
 * not say: when it arrived, and the hash of its payload as it first came.
 */
export function writeLoggedLine(event: LoggedEvent): string {
  const { eventTime, version, ingestedAt, hash0, hash1, hash2, hash3, row } = event;
  const hashes = [hash0, hash1, hash2, hash3];
  return JSON.stringify([eventTime, jsonOfValue(version), ingestedAt, hashes, row.map(jsonOfValue)]);
}

/** The types are those of the source's columns. Position and id are left out: nobody looks at them. */
export function readLoggedLine(line: string, types: readonly ColumnTypeSpec[]): LoggedEvent {
  const [eventTime, version, ingestedAt, hashes, row] = JSON.parse(line) as [
    number,
    number | string | null,
    number,
    [number, number, number, number],
    readonly unknown[],
  ];
  const [hash0, hash1, hash2, hash3] = hashes;
  return {
    ...{ eventTime, ingestedAt, hash0, hash1, hash2, hash3, partitionId: 0, offset: 0, id: null },
    version: typeof version === "string" ? BigInt(version) : version,
    row: row.map((json, index) => valueOfJson(json, types[index]!)),
  };
}
