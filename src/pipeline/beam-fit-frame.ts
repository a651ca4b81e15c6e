import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { BeamFile } from "../feature_engineering/beam/beam-job.ts";
import { writeFrameRow } from "../feature_engineering/beam/script/fit-frame.ts";
import { createEntityFrame, type FramePart, openEntityFrame } from "../feature_store/entity-frame.ts";
import { labelMissing } from "../feature_store/labels.ts";
import { duckdbFrameFiles } from "../feature_store/offline/duckdb-frame-files.ts";
import { valueAt } from "../feature_store/offline/point-in-time.ts";
import type { ServiceRuntime } from "../feature_store/service-runtime.ts";

/** A training frame as workers read it. */
export interface BeamFitFrame {
  readonly files: readonly BeamFile[];
  readonly rows: number;
  /** The least and the greatest t, epoch milliseconds. */
  readonly first: number;
  readonly last: number;
}

/** A worker reads one file at a time. */
const FILE_ROWS = 20_000;

/**
 * Reads a training frame as `millrace training-set` does, and writes it to files for workers.
 * @throws `FILE_…`, `EVENT_TIMESTAMP_MISSING`, `LOOKUP_…`, `LABEL_…`, naming the row
 */
export async function beamFitFrame(runtime: ServiceRuntime, path: string, folder: string): Promise<BeamFitFrame> {
  await using stack = new AsyncDisposableStack();
  const files = stack.adopt(await duckdbFrameFiles(folder), (open) => open.close());
  const reader = stack.adopt(await openEntityFrame(files, path, runtime), (open) => open.close());
  const fits = runtime.row.passes > 0;
  const frame = createEntityFrame(runtime, reader.columns, fits);
  const written: BeamFile[] = [];
  const known = new Set<number>();
  let rows = 0;
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for await (const part of frame.parts(reader.read(0), FILE_ROWS, 0)) {
    const name = `frame-${written.length}.jsonl`;
    await pipeline(lines(part, rows), createWriteStream(join(folder, name)));
    written.push({ path: join(folder, name), format: "jsonl", partition: name });
    rows += part.frame.count;
    for (const time of part.frame.times) {
      first = Math.min(first, time);
      last = Math.max(last, time);
    }
    for (const [label, values] of part.labels.entries()) {
      if (!known.has(label) && values.some((_, row) => valueAt(values, row) !== null)) known.add(label);
    }
  }
  const missing = fits && rows > 0 ? runtime.row.labels.findIndex((_, label) => !known.has(label)) : -1;
  if (missing >= 0) throw labelMissing(runtime.service.name, runtime.row.labels[missing]!);
  return rows === 0 ? { files: [], rows, first: 0, last: 0 } : { files: written, rows, first, last };
}

function* lines({ frame, labels }: FramePart, from: number): Generator<string> {
  for (let row = 0; row < frame.count; row++) {
    yield `${writeFrameRow({
      row: from + row,
      time: frame.times[row]!,
      lookup: frame.lookup.map((column) => column[row]!),
      labels: labels.map((column) => valueAt(column, row)),
    })}\n`;
  }
}
