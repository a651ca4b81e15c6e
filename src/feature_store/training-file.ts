import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { millraceError } from "../definitions/errors.ts";
import type { ColumnTypeSpec, Value } from "../definitions/value.ts";
import { profileStep, serviceProfileBuilder } from "../feature_engineering/profiles/profile-builder.ts";
import type { ServiceProfile } from "../feature_engineering/profiles/value-profile.ts";
import type { FittedState } from "../feature_engineering/transforms/fitted-state.ts";
import { createFitter, type TrainingRowTransform } from "../feature_engineering/transforms/fitter.ts";
import { createEntityFrame, type EntityFrame, type FramePart, openEntityFrame } from "./entity-frame.ts";
import type { FeatureStore } from "./feature-store.ts";
import type { Knowledge } from "./historical-reader.ts";
import { labelMissing } from "./labels.ts";
import { writeArrowFrame } from "./offline/arrow-frame-files.ts";
import { type DuckdbFrameFiles, duckdbFrameFiles } from "./offline/duckdb-frame-files.ts";
import {
  type FrameBatch,
  type FrameColumn,
  type FrameFormat,
  type FrameReader,
  MANIFEST_KEY,
} from "./offline/frame-file.ts";
import { type ColumnValues, sliceColumn, valueAt } from "./offline/point-in-time.ts";
import type { ServiceRuntime } from "./service-runtime.ts";
import { type TrainingManifest, trainingManifest } from "./training-set.ts";

export interface TrainingFileRequest {
  readonly service: string;
  /** The frame: CSV, Parquet, JSON lines or Arrow IPC, told by the name. Its content must not change meanwhile. */
  readonly entities: string;
  /** The training set, which is replaced in one step; its format is told by the name: .parquet, .csv, .arrow. */
  readonly out: string;
  readonly knowledge?: Knowledge;
  /** Apply what was fitted before, instead of fitting on these rows. */
  readonly fitted?: FittedState;
  /** Where parts are kept until all are there; a run that finds parts of the same request goes on with them. */
  readonly parts?: string;
  /** How many rows are in memory at a time. Default 200,000. */
  readonly partRows?: number;
  readonly onProgress?: (progress: TrainingProgress) => void;
  readonly signal?: AbortSignal;
}

export interface TrainingProgress {
  readonly step: "read" | "fit" | "write";
  /** Rows of the step that are done, of `total`. */
  readonly rows: number;
  readonly total: number;
}

const PART_ROWS = 200_000;
/** Rows that pass from step to step at a time. */
const BATCH_ROWS = 16_384;

/**
 * Writes a training set of any size: the frame is read in parts, each part's inputs are computed from history and kept
 * as a file, transforms are fitted in passes over those files, and the parts become one file. What a killed run had
 * finished is not done again. The manifest also lies in the metadata of Parquet and Arrow files, under `millrace`.
 *
 * @throws `FILE_…`, `EVENT_TIMESTAMP_MISSING`, `LOOKUP_…`, `LABEL_…` (naming the row), `SERVICE_UNKNOWN`, `ABORTED`
 */
export async function writeTrainingFile(store: FeatureStore, request: TrainingFileRequest): Promise<TrainingManifest> {
  const { out, onProgress = () => {}, partRows = PART_ROWS, knowledge = "event_time" } = request;
  const format = formatOf(out);
  const runtime = store.service(request.service);
  const folder = request.parts ?? `${out}.parts`;
  await mkdir(folder, { recursive: true });
  const files = await duckdbFrameFiles(folder);
  const reader = await openEntityFrame(files, request.entities, runtime);
  try {
    const fits = request.fitted === undefined && runtime.row.passes > 0;
    const frame = createEntityFrame(runtime, reader.columns, fits);
    const plan = await planOf(folder, request, runtime, reader, partRows);
    const total = reader.rows;
    const columns = [
      ...frame.carried,
      ...runtime.row.columns.map(({ name, type }) => ({ name, type: nullable(type) })),
    ];
    const stagedColumns = [...frame.carried, ...inputColumns(runtime), ...labelColumns(runtime, fits)];
    const staged = Array.from({ length: Math.ceil(total / partRows) }, (_, i) => join(folder, `part-${i}.parquet`));
    const ready = staged.findIndex((path) => !existsSync(path));
    const from = ready === -1 ? staged.length : ready;
    onProgress({ step: "read", rows: Math.min(total, from * partRows), total });

    const metadataOf = (fitted: FittedState): Readonly<Record<string, string>> => ({
      [MANIFEST_KEY]: JSON.stringify(trainingManifest(runtime, fitted, knowledge, total)),
    });
    /** A set of one part is that part's file: it is not written again. */
    const isWhole = staged.length === 1 && format === "parquet";
    let fitted = request.fitted ?? { service: request.service, service_hash: runtime.hash, transforms: {} };
    const make = fits ? null : runtime.row.bind(request.fitted ?? null);
    let part = from;
    for await (const rows of frame.parts(reader.read(from * partRows), partRows, from * partRows)) {
      request.signal?.throwIfAborted();
      const read = await store.readInputs(runtime, rows.frame, knowledge, request.signal);
      const path = staged[part]!;
      if (make === null) {
        const content = stagedBatches(rows, read.values, fits);
        await writeWhole(path, (temporary) => files.writeParquet(temporary, stagedColumns, content));
      } else {
        const content = madeBatches(rows, read.values, runtime.isPlain ? null : make);
        const metadata = isWhole ? metadataOf(fitted) : {};
        await writeWhole(path, (temporary) => files.writeParquet(temporary, columns, content, metadata));
      }
      part++;
      onProgress({ step: "read", rows: Math.min(total, part * partRows), total });
    }
    let parts = staged;
    if (fits) {
      const learned = await fit(runtime, files, staged, stagedColumns, total, onProgress);
      fitted = learned.fitted;
      parts = [];
      let done = 0;
      for (const [index, path] of staged.entries()) {
        request.signal?.throwIfAborted();
        const finished = join(folder, `made-${index}.parquet`);
        const content = remade(files, path, frame, runtime, learned.make, done);
        const metadata = isWhole ? metadataOf(fitted) : {};
        await writeWhole(finished, (temporary) => files.writeParquet(temporary, columns, content, metadata));
        parts.push(finished);
        done = Math.min(total, done + partRows);
        onProgress({ step: "write", rows: done, total });
      }
    }
    const manifest: TrainingManifest = {
      ...trainingManifest(runtime, fitted, knowledge, total),
      profile: await profileOf(files, parts, runtime, frame.carried.length, total),
    };
    const metadata = metadataOf(fitted);
    await writeWhole(out, async (temporary) => {
      if (parts.length === 0) {
        const empty = join(folder, "part-0.parquet");
        await files.writeParquet(empty, columns, []);
        parts = [empty];
      }
      if (isWhole) await move(parts[0]!, temporary);
      else if (format === "arrow") await writeArrowFrame(temporary, columns, readAll(files, parts), metadata);
      else await files.concatenate(parts, temporary, format, metadata);
    });
    onProgress({ step: "write", rows: total, total });
    await plan.remove();
    return manifest;
  } finally {
    await reader.close();
    await files.close();
  }
}

/** The format of a training set, by its name. @throws `FILE_FORMAT_UNKNOWN` */
export function formatOf(path: string): FrameFormat {
  if (/\.parquet$/i.test(path)) return "parquet";
  if (/\.csv$/i.test(path)) return "csv";
  if (/\.(arrow|feather|ipc)$/i.test(path)) return "arrow";
  throw millraceError("FILE_FORMAT_UNKNOWN", `The training set ${path} must end in .parquet, .csv or .arrow.`);
}

/** Parts in the folder belong to this request, or are removed. */
async function planOf(
  folder: string,
  request: TrainingFileRequest,
  runtime: ServiceRuntime,
  reader: FrameReader,
  partRows: number,
): Promise<{ remove(): Promise<void> }> {
  const { size, mtimeMs } = await stat(request.entities);
  const facts = [
    runtime.hash,
    formatOf(request.out),
    request.knowledge ?? "event_time",
    request.fitted ?? null,
    [size, mtimeMs, reader.rows, reader.columns],
    partRows,
  ];
  const fingerprint = createHash("sha256").update(JSON.stringify(facts)).digest("hex");
  const file = join(folder, "request.json");
  const known = await readFile(file, "utf8").catch(() => "");
  if (known !== fingerprint) {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await writeFile(file, fingerprint);
  }
  return { remove: () => rm(folder, { recursive: true, force: true }) };
}

/** A file that is there is whole: it is written beside, flushed, and renamed. */
async function writeWhole(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = join(dirname(path), `.writing-${process.pid}-${path.slice(dirname(path).length + 1)}`);
  try {
    await write(temporary);
    const handle = await open(temporary, "r+").catch((cause: unknown) => {
      throw millraceError("FILE_UNWRITABLE", `The file ${path} cannot be written: check its folder.`, { cause });
    });
    await handle.sync().finally(() => handle.close());
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** The parts' folder may lie on another disk. */
async function move(from: string, to: string): Promise<void> {
  await rename(from, to).catch(() => copyFile(from, to));
}

function* slices(count: number): Generator<readonly [number, number]> {
  for (let from = 0; from < count; from += BATCH_ROWS) yield [from, Math.min(count, from + BATCH_ROWS)];
}

/** The frame's columns and the inputs, which transforms are to be fitted on. */
function* stagedBatches(part: FramePart, inputs: readonly ColumnValues[], labels: boolean): Generator<FrameBatch> {
  const columns = [...part.carried, ...inputs, ...(labels ? part.labels : [])];
  for (const [from, to] of slices(part.frame.count)) {
    yield { count: to - from, columns: columns.map((column) => sliceColumn(column, from, to)) };
  }
}

/** The frame's columns and the made rows; without `make` those are the inputs as they are. */
function* madeBatches(
  part: FramePart,
  inputs: readonly ColumnValues[],
  make: ((inputs: readonly Value[]) => Value[]) | null,
): Generator<FrameBatch> {
  for (const [from, to] of slices(part.frame.count)) {
    const sliced = (column: ColumnValues): ColumnValues => sliceColumn(column, from, to);
    const made = make === null ? inputs.map(sliced) : makeRows(inputs, from, to, make);
    yield { count: to - from, columns: [...part.carried.map(sliced), ...made] };
  }
}

function makeRows(
  inputs: readonly ColumnValues[],
  from: number,
  to: number,
  make: (inputs: readonly Value[], row: number) => Value[],
  firstRow: number = 0,
): Value[][] {
  const scratch = new Array<Value>(inputs.length);
  const columns: Value[][] = [];
  for (let row = from; row < to; row++) {
    for (let i = 0; i < inputs.length; i++) scratch[i] = valueAt(inputs[i]!, row);
    const made = make(scratch, firstRow + row);
    if (row === from) for (let i = 0; i < made.length; i++) columns.push(new Array<Value>(to - from));
    for (let i = 0; i < made.length; i++) columns[i]![row - from] = made[i]!;
  }
  return columns;
}

async function fit(
  runtime: ServiceRuntime,
  files: DuckdbFrameFiles,
  staged: readonly string[],
  columns: readonly FrameColumn[],
  total: number,
  onProgress: (progress: TrainingProgress) => void,
): Promise<{ readonly fitted: FittedState; readonly make: TrainingRowTransform }> {
  const fitter = createFitter(runtime.row);
  const { labels } = runtime.row;
  const firstLabel = columns.length - labels.length;
  const firstInput = firstLabel - runtime.inputCount;
  const known = new Uint8Array(labels.length);
  for (let pass = 0; pass < fitter.passes; pass++) {
    let done = 0;
    for await (const batch of readAll(files, staged)) {
      const inputs = new Array<Value>(runtime.inputCount);
      for (let row = 0; row < batch.count; row++) {
        for (let i = 0; i < inputs.length; i++) inputs[i] = valueAt(batch.columns[firstInput + i]!, row);
        const values = labels.map((_, i) => valueAt(batch.columns[firstLabel + i]!, row));
        for (let i = 0; i < values.length; i++) if (values[i] !== null) known[i] = 1;
        fitter.add(inputs, values);
      }
      done += batch.count;
      onProgress({ step: "fit", rows: done, total });
    }
    const missing = labels.findIndex((_, i) => known[i] === 0);
    if (total > 0 && missing >= 0) throw labelMissing(runtime.service.name, labels[missing]!);
    fitter.endPass();
  }
  return { fitted: fitter.finish(), make: fitter.trainingRows() };
}

/** Of the finished parts, since a run may have found them there; of every k-th row. */
async function profileOf(
  files: DuckdbFrameFiles,
  parts: readonly string[],
  { row }: ServiceRuntime,
  firstFeature: number,
  total: number,
): Promise<ServiceProfile> {
  const profile = serviceProfileBuilder(row.columns);
  const step = profileStep(total);
  let next = 0;
  for await (const { count, columns } of readAll(files, parts)) {
    let at = next;
    for (; at < count; at += step) profile.add((column) => valueAt(columns[firstFeature + column]!, at));
    next = at - count;
  }
  return profile.finish();
}

async function* readAll(files: DuckdbFrameFiles, paths: readonly string[]): AsyncGenerator<FrameBatch> {
  for (const path of paths) {
    const reader = await files.open(path);
    try {
      yield* reader.read(0);
    } finally {
      await reader.close();
    }
  }
}

async function* remade(
  files: DuckdbFrameFiles,
  path: string,
  frame: EntityFrame,
  runtime: ServiceRuntime,
  make: TrainingRowTransform,
  firstRow: number,
): AsyncGenerator<FrameBatch> {
  let at = firstRow;
  for await (const { count, columns } of readAll(files, [path])) {
    const carried = columns.slice(0, frame.carried.length);
    const inputs = columns.slice(frame.carried.length, frame.carried.length + runtime.inputCount);
    yield { count, columns: [...carried, ...makeRows(inputs, 0, count, make, at)] };
    at += count;
  }
}

function inputColumns({ row, inputCount }: ServiceRuntime): FrameColumn[] {
  const columns = new Array<FrameColumn>(inputCount);
  for (const { slot, type } of [...row.featureInputs, ...row.requestInputs]) {
    columns[slot] = { name: `_input_${slot}`, type: nullable(type) };
  }
  return columns;
}

function labelColumns({ row }: ServiceRuntime, fits: boolean): FrameColumn[] {
  return fits ? row.labels.map(({ type }, index) => ({ name: `_label_${index}`, type: nullable(type) })) : [];
}

function nullable(type: ColumnTypeSpec): ColumnTypeSpec {
  return { ...type, nullable: true };
}
