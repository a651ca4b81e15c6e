import type { Value } from "../../../definitions/value.ts";
import type { ByteReader } from "../../encoding/byte-reader.ts";
import type { ByteWriter } from "../../encoding/byte-writer.ts";
import { createEntityState } from "../../windows/entity-state.ts";
import { createViewReading } from "../../windows/read-features.ts";
import { blockOf, groupKey, segmentAt } from "./fit-events.ts";
import { readFrameRow } from "./fit-frame.ts";
import { createFitBlocks, type FitBlocks, type FitOutput, numberKey } from "./fit-output.ts";
import { CHUNK_ROWS, type FitPlan, type FitRole } from "./fit-plan.ts";
import { readPartitions, visitMessages } from "./message-frame.ts";

/** What `fitRows` gives: the row's groups, to find its features in, and its parts that are known, by chunks of rows. */
export interface FitRows {
  /** Rows that look entities up, by the key of the group. */
  lookups(text: string, frame: ByteReader, out: FitOutput): void;
  /** Request inputs, labels, and the features of rows that look nobody up, by chunk. */
  parts(text: string, frame: ByteReader, out: FitOutput): void;
}

export function createFitRows(plan: FitPlan): FitRows {
  const { service, row: compiled, views, requests } = plan;
  const lookupTypes = service.lookup.map(({ type }) => type);
  const labelTypes = compiled.labels.map(({ type }) => type);
  const nobody = views.map(({ layout, reader }) => {
    const reading = createViewReading(layout);
    reader.fromState(createEntityState(layout), 0, reading);
    return reading.values;
  });
  const lookups = createFitBlocks();
  const parts = createFitBlocks();

  function each(text: string, frame: ByteReader, visit: (row: ReturnType<typeof readFrameRow>) => void): void {
    readPartitions(frame);
    visitMessages(
      frame,
      text,
      (_index, message) => {
        if (typeof message === "string") visit(readFrameRow(message, lookupTypes, labelTypes));
      },
      () => {},
    );
  }

  return {
    lookups(text, frame, out) {
      each(text, frame, ({ row, time, lookup }) => {
        for (const [index, view] of views.entries()) {
          for (const [role, { keyIndexes }] of view.roles.entries()) {
            const key = keyIndexes.map((at) => lookup[at]!);
            if (key.some((part) => part === null)) continue;
            lookups.entry.varint(role);
            lookups.entry.varint(row);
            lookups.entry.zigzag(time);
            const segment = segmentAt(view, time);
            lookups.end(
              `${index} ${segment} ${key.map((part) => `${String(part).length}:${String(part)}`).join()}`,
              () => groupKey(index, view, segment, key),
            );
          }
        }
      });
      lookups.flush(out, blockOf.rows);
    },
    parts(text, frame, out) {
      let rows = 0;
      each(text, frame, ({ row, lookup, labels }) => {
        rows++;
        const { entry } = parts;
        startPart(entry, row, 0);
        for (const { index } of requests) entry.value(lookup[index]!);
        for (let i = 0; i < labelTypes.length; i++) entry.value(labels[i] ?? null);
        endPart(parts, row);
        for (const [index, view] of views.entries()) {
          for (const role of view.roles) {
            if (role.keyIndexes.some((at) => lookup[at] === null)) writePart(parts, row, role, nobody[index]!);
          }
        }
      });
      parts.flush(out);
      out.count("training frame", "rows", rows);
    },
  };
}

function startPart(entry: ByteWriter, row: number, part: number): void {
  entry.varint(row);
  entry.varint(part);
}

function endPart(parts: FitBlocks, row: number): void {
  const chunk = Math.floor(row / CHUNK_ROWS);
  parts.end(chunk, () => numberKey(chunk));
}

/** Writes a role's features of a row: `values` are those of the view. */
export function writePart(parts: FitBlocks, row: number, { part, reads }: FitRole, values: readonly Value[]): void {
  const { entry } = parts;
  startPart(entry, row, part);
  for (let i = 0; i < reads.length; i++) entry.value(values[reads[i]!.feature]!);
  endPart(parts, row);
}
