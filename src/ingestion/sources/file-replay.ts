import { isMillraceError, type MillraceError } from "../../definitions/errors.ts";
import type { SourceColumn } from "../decoders/row-decoder.ts";
import { ingestionError } from "../ingestion-error.ts";
import type { MessageSource, RawBatch, ResumePosition } from "../message-source.ts";
import type { RawMessage } from "../stream-message.ts";
import { type ExternalSort, type ExternalSortOptions, externalSort } from "./external-sort.ts";
import { contentHash } from "./file-text.ts";
import { mergeRuns, type SortedRun } from "./merge-runs.ts";
import { type ReplayClock, replayClock } from "./replay-clock.ts";
import {
  type KeyedRecord,
  type MapRecord,
  openReplayFile,
  type ReplayFile,
  type ReplayFileSettings,
  type ReplayFormat,
} from "./replay-file.ts";
import { resolveReplayPaths } from "./replay-paths.ts";

export interface FileReplayOptions {
  /** Files, folders or glob patterns; CSV or JSON lines, plain or gzip. */
  readonly paths: readonly string[];
  readonly columns: readonly SourceColumn[];
  /** The name of the event time's column. */
  readonly eventTime: string;
  /** Default: by the files' names. */
  readonly format?: ReplayFormat;
  /** The CSV delimiter, one character. Default `,`. */
  readonly delimiter?: string;
  /** CSV cells that mean null besides the empty one, such as `NA`. Default none. */
  readonly nulls?: readonly string[];
  /** Where the arrival time is: a column of the schema or not. Default: the event time stands in. */
  readonly ingestedAt?: Pick<SourceColumn, "name" | "path" | "unit">;
  /** `null`: nullable columns that a CSV header lacks are null, instead of `FILE_COLUMN_MISSING`. Default `error`. */
  readonly missingColumns?: "error" | "null";
  /** Makes the schema's records of the file's; null leaves one out. Pure; its source is part of the partition's hash. */
  readonly map?: MapRecord;
  /** Seconds of event time per second; default `max`, flat out. Not together with `clock`. */
  readonly speed?: number | "max";
  /** A clock shared with other replays, and this replay's name there (default: its paths). */
  readonly clock?: ReplayClock;
  readonly name?: string;
  /** For files that are not in event-time order. */
  readonly sort?: ExternalSortOptions;
}

/** What reading a file once has shown. */
interface Scan {
  readonly records: number;
  readonly ordered: boolean;
  readonly firstKey: number;
  readonly lastKey: number;
  readonly corrupt: MillraceError | null;
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

function asCorruption(error: unknown): MillraceError | null {
  return isMillraceError(error) && error.code === "FILE_CORRUPT" ? error : null;
}

/** The records before the corrupt place; the scan has told about the place itself. */
async function* readable(file: ReplayFile): AsyncGenerator<readonly KeyedRecord[]> {
  try {
    yield* file.records();
  } catch (error) {
    if (asCorruption(error) === null) throw error;
  }
}

async function scan(file: ReplayFile): Promise<Scan> {
  let records = 0;
  let ordered = true;
  let firstKey = Number.NEGATIVE_INFINITY;
  let lastKey = Number.NEGATIVE_INFINITY;
  let previous = Number.NEGATIVE_INFINITY;
  let corrupt: MillraceError | null = null;
  try {
    for await (const block of file.records()) {
      if (records === 0) firstKey = block[0]!.key;
      for (const { key } of block) {
        if (key < previous) ordered = false;
        if (key > lastKey) lastKey = key;
        previous = key;
      }
      records += block.length;
    }
  } catch (error) {
    corrupt = asCorruption(error);
    if (corrupt === null) throw error;
  }
  return { records, ordered, firstKey, lastKey, corrupt };
}

/** What an open replay holds. */
interface Reading {
  readonly partition: string;
  readonly files: readonly ReplayFile[];
  readonly blocks: AsyncGenerator<readonly KeyedRecord[]>;
  readonly records: number;
  readonly lastKey: number;
  /** Thrown after all that could be read. */
  readonly corrupt: MillraceError | null;
  block: readonly KeyedRecord[];
  at: number;
  /** The ordinal of `block[at]`. */
  offset: number;
  /** The last ordinal that was checkpointed. */
  committed: number;
  lastEventTime: number;
  /** An I/O error met while looking ahead: thrown by the next fetch. */
  failure: { readonly error: unknown } | null;
}

function settingsOf(options: FileReplayOptions, format: ReplayFormat): ReplayFileSettings {
  const ingestedAt = options.ingestedAt;
  return {
    columns: options.columns,
    eventTime: options.eventTime,
    format,
    delimiter: options.delimiter ?? ",",
    nulls: options.nulls ?? [],
    ingestedAt: ingestedAt === undefined ? null : { ...ingestedAt, type: { kind: "timestamp", nullable: true } },
    missingColumns: options.missingColumns ?? "error",
    map: options.map ?? null,
  };
}

/** What, besides the bytes, decides which record has which ordinal. */
function orderingFacts(settings: ReplayFileSettings): string {
  const eventTime = settings.columns.find((column) => column.name === settings.eventTime);
  return JSON.stringify({
    path: eventTime?.path ?? settings.eventTime,
    unit: eventTime?.unit ?? null,
    format: settings.format,
    delimiter: settings.delimiter,
    map: settings.map === null ? null : String(settings.map),
  });
}

/** Makes the next record current; false at the end. */
async function look(reading: Reading): Promise<boolean> {
  while (reading.at >= reading.block.length) {
    const next = await reading.blocks.next();
    if (next.done === true) return false;
    reading.block = next.value;
    reading.at = 0;
  }
  return true;
}

/**
 * A {@link MessageSource} of files, in event-time order: files in order are streamed, others are sorted on disk; many
 * are merged; equal times keep the order of the files and of their records. Memory is bounded.
 *
 * Its one partition is `file:` and the SHA-256 of the files' bytes and order, so that a changed file is a new
 * partition; offsets are ordinals in delivered order. A record that cannot be read comes where its time would be, or
 * after the record before it. Fails with `FILE_NOT_FOUND`, `FILE_COLUMN_MISSING`, `FILE_FORMAT_UNKNOWN`,
 * `FILE_UNREADABLE`, and, after all that came before the corrupt place, `FILE_CORRUPT`.
 */
export function fileReplay(options: FileReplayOptions): MessageSource {
  const clock = options.clock ?? replayClock({ speed: options.speed ?? "max" });
  const gate = clock.register(options.name ?? options.paths.join(", "));
  let sorter: ExternalSort | null = null;
  let reading: Reading | null = null;

  const close = async (): Promise<void> => {
    gate.leave();
    const closing = reading;
    reading = null;
    await closing?.blocks.return(undefined);
    await sorter?.close();
    sorter = null;
  };

  const read = async (resume: ResumePosition): Promise<Reading> => {
    const { files: paths, format } = await resolveReplayPaths(options.paths, options.format);
    const settings = settingsOf(options, format);
    const files: ReplayFile[] = [];
    for (const [index, path] of paths.entries()) files.push(await openReplayFile(path, index, settings));
    const partition = `file:${await contentHash(paths, orderingFacts(settings))}`;
    sorter = externalSort(options.sort);
    const runs: SortedRun[] = [];
    let records = 0;
    let lastKey = Number.NEGATIVE_INFINITY;
    let corrupt: MillraceError | null = null;
    for (const file of files) {
      const seen = await scan(file);
      records += seen.records;
      lastKey = Math.max(lastKey, seen.lastKey);
      corrupt ??= seen.corrupt;
      if (seen.records === 0) continue;
      if (seen.ordered) runs.push({ firstKey: seen.firstKey, open: () => readable(file) });
      else runs.push(...(await sorter.sort(readable(file))));
    }
    const { offset: committed } = await resume(partition);
    return {
      partition,
      files,
      blocks: mergeRuns(runs),
      records,
      lastKey,
      corrupt,
      block: [],
      at: 0,
      offset: 0,
      committed,
      lastEventTime: Number.NaN,
      failure: null,
    };
  };

  /** Passes over what was committed before. */
  const skip = async (open: Reading): Promise<void> => {
    while (open.offset <= open.committed && (await look(open))) {
      const count = Math.min(open.block.length - open.at, open.committed + 1 - open.offset);
      open.at += count;
      open.offset += count;
      open.lastEventTime = open.block[open.at - 1]!.key;
    }
  };

  const nextKey = (open: Reading): number => {
    if (open.failure !== null) return open.lastEventTime;
    if (open.at < open.block.length) return open.block[open.at]!.key;
    // Behind a corrupt place there were more events: nobody may take them for delivered.
    return open.corrupt === null ? Number.POSITIVE_INFINITY : open.lastEventTime;
  };

  const open = async (resume: ResumePosition): Promise<void> => {
    if (reading !== null) await close();
    try {
      const opened = await read(resume);
      await skip(opened);
      reading = opened;
      await look(opened);
      gate.opened(nextKey(opened));
    } catch (error) {
      await close();
      throw error;
    }
  };

  const message = (open: Reading, record: KeyedRecord): RawMessage => {
    const file = open.files[record.file]!;
    const decoded = file.decode(record);
    const { partition, offset } = open;
    const ingestedAt = file.ingestedAt(record);
    const value = record.raw;
    if (decoded === undefined) return { partition, offset, key: null, value, ingestedAt, headers: NO_HEADERS };
    return { partition, offset, key: null, value, ingestedAt, headers: NO_HEADERS, decoded };
  };

  const collect = async (open: Reading, maxMessages: number): Promise<readonly RawMessage[]> => {
    const messages: RawMessage[] = [];
    const bound = gate.released();
    // The first was released by the wait; what the clock says meanwhile must not make the batch empty.
    let free = true;
    while (messages.length < maxMessages && (free || open.block[open.at]!.key < bound)) {
      free = false;
      const record = open.block[open.at]!;
      messages.push(message(open, record));
      open.lastEventTime = record.key;
      open.at++;
      open.offset++;
      if (open.at < open.block.length) continue;
      try {
        if (!(await look(open))) break;
      } catch (error) {
        // What was collected is handed on first.
        open.failure = { error };
        break;
      }
    }
    return messages;
  };

  const fetch = async (maxMessages: number, signal: AbortSignal): Promise<RawBatch | null> => {
    signal.throwIfAborted();
    const open = reading;
    if (open === null)
      throw ingestionError("SOURCE_NOT_OPEN", "The replay is not open: open it first.", { kind: "bug" });
    if (open.failure !== null) throw open.failure.error;
    if (!(await look(open))) {
      if (open.corrupt !== null) throw open.corrupt;
      return null;
    }
    await gate.wait(open.block[open.at]!.key, signal);
    const messages = await collect(open, maxMessages);
    gate.report(nextKey(open), true);
    return { partition: open.partition, messages };
  };

  return {
    capabilities: { monotonePositions: true, endless: false },
    open,
    fetch,
    checkpoint: async (_partition, offset) => {
      if (reading === null) return;
      reading.committed = Math.max(reading.committed, offset);
      gate.report(nextKey(reading), reading.committed < reading.offset - 1);
    },
    lag: async () => {
      if (reading === null) return [];
      const { partition, records, committed, lastKey, lastEventTime } = reading;
      const messages = Math.max(0, records - 1 - committed);
      const seconds = messages === 0 ? 0 : (lastKey - lastEventTime) / 1000;
      return [{ partition, messages, seconds: Number.isFinite(seconds) ? Math.max(0, seconds) : null }];
    },
    close,
  };
}
