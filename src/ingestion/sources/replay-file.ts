import { splitCsvRecord } from "../decoders/csv-record.ts";
import { jsonFailure, needsExactIntegers, parseJson } from "../decoders/json-decoder.ts";
import { compileRowDecoder, type RowDecoder, type SourceColumn } from "../decoders/row-decoder.ts";
import { ingestionError } from "../ingestion-error.ts";
import type { DecodedPayload } from "../stream-message.ts";
import { fileText } from "./file-text.ts";
import { csvFramer, jsonLinesFramer, type RecordFramer } from "./record-framer.ts";
import { csvTime, jsonTime, objectTime, type RecordTime } from "./record-time.ts";

export type ReplayFormat = "csv" | "jsonl";

/** Makes a schema's record of what a file holds; null leaves it out. Pure: it is called more than once per record. */
export type MapRecord = (record: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>> | null;

/** How the files of one replay are read. */
export interface ReplayFileSettings {
  readonly columns: readonly SourceColumn[];
  /** The name of the event time's column. */
  readonly eventTime: string;
  readonly format: ReplayFormat;
  readonly delimiter: string;
  readonly nulls: readonly string[];
  /** Where the arrival time is; null: the event time stands in. */
  readonly ingestedAt: SourceColumn | null;
  readonly missingColumns: "error" | "null";
  readonly map: MapRecord | null;
}

/** A record with what orders it. */
export interface KeyedRecord {
  /** The place of its file in the replay. */
  readonly file: number;
  /** Its event time; of a record without one that of the record before it in the file, −Infinity if there is none. */
  readonly key: number;
  readonly raw: string;
  /** Why it is no record; null if it may be one. */
  readonly failure: string | null;
}

/** One file of a replay. */
export interface ReplayFile {
  readonly path: string;
  /** Its records in file order, keyed. */
  records(): AsyncGenerator<readonly KeyedRecord[]>;
  /** The row of a record; undefined where the text is JSON that the loop's decoder reads. */
  decode(record: KeyedRecord): DecodedPayload | undefined;
  /** Epoch milliseconds; null if the file does not say. */
  ingestedAt(record: KeyedRecord): number | null;
}

/** How records of a file with a known header are read. */
interface Binding {
  readonly time: RecordTime;
  readonly arrival: RecordTime | null;
  readonly decode: (raw: string) => DecodedPayload | undefined;
  /** True for a record that `map` leaves out. */
  readonly leftOut: (raw: string) => boolean;
}

const NEVER = (): boolean => false;

function failed(reason: string): DecodedPayload {
  return { code: "DECODE_FAILED", reason };
}

type Parsed = Readonly<Record<string, unknown>> | string | null;

/** Reads records as objects for `map`: the object, null if left out, or why there is none. */
function mappedBinding(settings: ReplayFileSettings, map: MapRecord, parse: (raw: string) => Parsed): Binding {
  const cells = settings.format === "csv" ? "text" : "json";
  const rows = compileRowDecoder(settings.columns, { eventTime: settings.eventTime, cells, nulls: settings.nulls });
  const mapped = (raw: string): Parsed => {
    const record = parse(raw);
    if (typeof record === "string" || record === null) return record;
    try {
      return map(record);
    } catch (error) {
      return `The replay's map failed: ${error instanceof Error ? error.message : String(error)}`;
    }
  };
  const reader = (column: SourceColumn): RecordTime => {
    const time = objectTime(column, cells, settings.nulls);
    return (raw) => {
      const record = mapped(raw);
      return typeof record === "string" || record === null ? Number.NaN : time(record);
    };
  };
  return {
    time: reader(settings.columns[rows.eventTimeIndex]!),
    arrival: settings.ingestedAt === null ? null : reader(settings.ingestedAt),
    decode: (raw) => {
      const record = mapped(raw);
      return typeof record === "string" || record === null ? failed(record ?? "left out") : rows.decode(record);
    },
    leftOut: (raw) => mapped(raw) === null,
  };
}

function jsonBinding(settings: ReplayFileSettings, eventTime: SourceColumn): Binding {
  if (settings.map === null) {
    return {
      time: jsonTime(eventTime),
      arrival: settings.ingestedAt === null ? null : jsonTime(settings.ingestedAt),
      decode: () => undefined,
      leftOut: NEVER,
    };
  }
  const exact = needsExactIntegers(settings.columns);
  return mappedBinding(settings, settings.map, (raw) => {
    try {
      const record = parseJson(raw, exact);
      if (typeof record === "object" && record !== null) return record as Readonly<Record<string, unknown>>;
      return "The line is JSON, but no object.";
    } catch (error) {
      return jsonFailure(raw, error).reason;
    }
  });
}

function wrongLength(fields: readonly string[], header: readonly string[]): string {
  return `The record has ${fields.length} fields; the file's header has ${header.length}.`;
}

function csvBinding(
  settings: ReplayFileSettings,
  rows: RowDecoder,
  header: readonly string[],
  eventTime: SourceColumn,
): Binding {
  const { delimiter, nulls } = settings;
  if (settings.map !== null) {
    return mappedBinding(settings, settings.map, (raw) => {
      const fields = splitCsvRecord(raw, delimiter);
      if (typeof fields === "string") return `Not CSV: ${fields}.`;
      if (fields.length !== header.length) return wrongLength(fields, header);
      const isNull = (cell: string): boolean => cell === "" || nulls.includes(cell);
      return Object.fromEntries(header.map((name, i) => [name, isNull(fields[i]!) ? null : fields[i]!]));
    });
  }
  const bound = rows.bindHeader(header);
  return {
    time: csvTime(eventTime, header, delimiter, nulls),
    arrival: settings.ingestedAt === null ? null : csvTime(settings.ingestedAt, header, delimiter, nulls),
    decode: (raw) => {
      const fields = splitCsvRecord(raw, delimiter);
      if (typeof fields === "string") return failed(`Not CSV: ${fields}.`);
      return fields.length === header.length ? bound(fields) : failed(wrongLength(fields, header));
    },
    leftOut: NEVER,
  };
}

function checkHeader(path: string, settings: ReplayFileSettings, header: readonly string[]): void {
  const needed = settings.columns.filter((column) => settings.missingColumns === "error" || !column.type.nullable);
  if (settings.ingestedAt !== null) needed.push(settings.ingestedAt);
  const names = needed.map((column) => column.path ?? column.name);
  const missing = names.filter((name) => !header.includes(name));
  const twice = names.filter((name) => header.indexOf(name) !== header.lastIndexOf(name));
  if (missing.length === 0 && twice.length === 0) return;
  const what = [
    ...(missing.length > 0 ? [`lacks the columns ${missing.join(", ")}`] : []),
    ...(twice.length > 0 ? [`has more than one column called ${twice.join(", ")}`] : []),
  ].join(" and ");
  throw ingestionError(
    "FILE_COLUMN_MISSING",
    `The header of ${path} ${what}; it has ${header.join(", ") || "nothing"}. Give the column's header as its path, ` +
      `correct the file, or, if nullable columns may be absent, replay with missingColumns: "null".`,
    { details: { file: path, missing, ambiguous: twice } },
  );
}

/** Reads a file's header (CSV). Fails with `FILE_COLUMN_MISSING`, and as `fileText` does. */
async function readHeader(path: string, delimiter: string): Promise<readonly string[]> {
  const framer = csvFramer(delimiter);
  const header = (records: ReturnType<RecordFramer>): readonly string[] | null => {
    const first = records[0];
    if (first === undefined) return null;
    const fields = typeof first === "string" ? splitCsvRecord(first, delimiter) : [];
    return typeof fields === "string" ? [] : fields.map((name) => name.trim());
  };
  for await (const piece of fileText(path)) {
    const found = header(framer(piece, false));
    if (found !== null) return found;
  }
  return header(framer("", true)) ?? [];
}

/** Opens a file of a replay, `file` being its place there: reads and checks its header. */
export async function openReplayFile(path: string, file: number, settings: ReplayFileSettings): Promise<ReplayFile> {
  const csv = settings.format === "csv";
  const rows = compileRowDecoder(settings.columns, {
    eventTime: settings.eventTime,
    cells: csv ? "text" : "json",
    nulls: settings.nulls,
  });
  const eventTime = settings.columns[rows.eventTimeIndex]!;
  const header = csv ? await readHeader(path, settings.delimiter) : [];
  if (csv && settings.map === null) checkHeader(path, settings, header);
  const binding = csv ? csvBinding(settings, rows, header, eventTime) : jsonBinding(settings, eventTime);

  async function* records(): AsyncGenerator<readonly KeyedRecord[]> {
    const framer = csv ? csvFramer(settings.delimiter) : jsonLinesFramer();
    let key = Number.NEGATIVE_INFINITY;
    let headerSeen = !csv;
    const keyed = (framed: ReturnType<RecordFramer>): readonly KeyedRecord[] => {
      const out: KeyedRecord[] = [];
      for (const record of framed) {
        if (!headerSeen) {
          headerSeen = true;
          continue;
        }
        const raw = typeof record === "string" ? record : record.raw;
        const failure = typeof record === "string" ? null : record.reason;
        if (failure === null) {
          if (binding.leftOut(raw)) continue;
          const time = binding.time(raw);
          if (!Number.isNaN(time)) key = time;
        }
        out.push({ file, key, raw, failure });
      }
      return out;
    };
    for await (const piece of fileText(path)) {
      const block = keyed(framer(piece, false));
      if (block.length > 0) yield block;
    }
    const block = keyed(framer("", true));
    if (block.length > 0) yield block;
  }

  return {
    path,
    records,
    decode: (record) => (record.failure === null ? binding.decode(record.raw) : failed(record.failure)),
    ingestedAt: (record) => {
      const time = record.failure === null && binding.arrival !== null ? binding.arrival(record.raw) : Number.NaN;
      return Number.isNaN(time) ? null : time;
    },
  };
}
