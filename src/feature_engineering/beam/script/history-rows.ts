import type { SourceMeta } from "../../../definitions/source.ts";
import type { Value } from "../../../definitions/value.ts";
import { toStoredText } from "../../encoding/stored-text.ts";
import type { LoggedEvent } from "../../engine/event-log.ts";

/** Gathers events as the JSON rows that the history table takes: system columns first, then the declared ones. */
export interface HistoryRows {
  add(event: LoggedEvent, partition: string): void;
  /** The rows as a JSON list, and begins anew; empty if there are none. */
  take(): string;
}

/**
 * A row names its partition `p`, its offset `o`, event time `t`, arrival `a` (epoch milliseconds), payload hash `h`,
 * version `v` and id `i`, and its columns `c0`, `c1`, … in declared order.
 */
export function createHistoryRows(source: SourceMeta): HistoryRows {
  const hasId = source.id !== null || source.kind === "table_source";
  let rows: string[] = [];
  return {
    add(event, partition) {
      const { offset, eventTime, ingestedAt, hash0, hash1, hash2, hash3, version, id, row } = event;
      const hash = [hash0, hash1, hash2, hash3].map((word) => word.toString(16).padStart(8, "0")).join("");
      let text = `{"p":${jsonOf(partition)},"o":${offset},"t":${eventTime},"a":${ingestedAt},"h":"${hash}"`;
      if (version !== null) text += `,"v":${version}`;
      if (hasId) text += `,"i":${jsonOf(id)}`;
      for (let index = 0; index < row.length; index++) {
        const value = row[index]!;
        if (value !== null) text += `,"c${index}":${jsonOf(value)}`;
      }
      rows.push(`${text}}`);
    },
    take() {
      if (rows.length === 0) return "";
      const text = `[${rows.join(",")}]`;
      rows = [];
      return text;
    },
  };
}

function jsonOf(value: Value): string {
  if (typeof value === "string") return JSON.stringify(toStoredText(value.toWellFormed()));
  if (Array.isArray(value)) return `[${value.map(jsonOf).join(",")}]`;
  return String(value);
}
