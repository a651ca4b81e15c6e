import type { FeatureViewMeta } from "../../../definitions/feature-view.ts";
import type { SourceMeta } from "../../../definitions/source.ts";
import type { Value } from "../../../definitions/value.ts";
import { splitCsvRecord } from "../../../ingestion/decoders/csv-record.ts";
import { compileMessageDecoder } from "../../../ingestion/decoders/message-decoder.ts";
import { compileRowDecoder, isDecodeFailure, type SourceColumn } from "../../../ingestion/decoders/row-decoder.ts";
import { futureFailure } from "../../../ingestion/future-failure.ts";
import type { DecodedPayload, DecodeFailure, StreamMessage } from "../../../ingestion/stream-message.ts";
import type { LoggedEvent } from "../../engine/event-log.ts";
import { createMessageLogger } from "../../engine/message-logger.ts";
import { viewVersion } from "../../plan/plan-hash.ts";
import { compileEventExpression, compilePredicate } from "../../transforms/compile-event-expression.ts";
import { compileViewLayout, type ViewLayout } from "../../windows/view-layout.ts";
import type { SourceSettings } from "./job-settings.ts";
import type { BinaryMessage } from "./message-frame.ts";
import type { Protobuf } from "./protobuf-message.ts";
import { createRecordDecoder, type RecordDecoder } from "./record-decoder.ts";
import { viewNumber } from "./view-number.ts";

/** An event as the log keeps it, or why it is none; null if it belongs to another generation. */
export type ToEvent = (
  row: readonly Value[],
  offset: number,
  arrival: number | null,
) => LoggedEvent | DecodeFailure | null;

/** A source of the job, compiled. */
export interface SourceRuntime {
  readonly source: SourceMeta;
  readonly settings: SourceSettings;
  /** With the number of its version, which keys and partial tiles carry. */
  readonly views: readonly { readonly number: number; readonly layout: ViewLayout }[];
  /** The tile sizes of its views, ascending, the lifetime family's 0 first: one branch of the pipeline each. */
  readonly hops: readonly number[];
  /** The decoder of a partition's messages; `header` is the first record of its CSV file. */
  decoder(header: string): (message: string | BinaryMessage) => DecodedPayload;
  /** Takes a schema of the registry. */
  readonly learn: RecordDecoder["learn"];
  readonly toEvent: ToEvent;
  /** The same without payload hashes, where nobody looks at them: they cost as much as decoding. */
  readonly toUnhashedEvent: ToEvent;
  /** How often a function of the source's views failed on an event. */
  readonly failures: { count: number };
}

export function createSourceRuntime(
  source: SourceMeta,
  settings: SourceSettings,
  views: readonly FeatureViewMeta[],
  protobuf: Protobuf | null,
): SourceRuntime {
  const failures = { count: 0 };
  const columnIndex = new Map(source.columns.map((column, index) => [column.name, index]));
  const compiled = views.map((view) => ({
    number: viewNumber(viewVersion(view)),
    layout: compileViewLayout(view, (expression, role) => {
      const compile = role === "where" ? compilePredicate : compileEventExpression;
      return compile(expression, columnIndex, () => failures.count++);
    }),
  }));
  const hops = new Set(compiled.flatMap(({ layout }) => layout.families.map((family) => family.hopMs)));
  const columns = columnsOf(source);
  const records = createRecordDecoder(columns, source.eventTime, source.format, protobuf);
  const eventTimeIndex = columnIndex.get(source.eventTime)!;
  const futureBoundMs = source.clock === "stream" ? null : source.futureBoundMs;
  const message = {
    source: source.name,
    partition: "",
    offset: 0,
    key: null,
    payload: [] as readonly Value[],
    eventTime: 0,
    ingestedAt: 0,
    headers: {},
  } satisfies StreamMessage;

  function eventMaker(hashes: boolean): ToEvent {
    const toLogged = createMessageLogger(source, { hashes });
    const { from, until } = settings;
    return (row, offset, arrival) => {
      const eventTime = row[eventTimeIndex] as number;
      const failure = futureFailure(eventTime, arrival ?? eventTime, futureBoundMs);
      if (failure !== null) return failure;
      message.payload = row;
      message.offset = offset;
      message.eventTime = eventTime;
      message.ingestedAt = arrival ?? eventTime;
      const event = toLogged(message, 0);
      const moment = source.ingestedAt === null ? eventTime : event.ingestedAt;
      return (from !== null && moment < from) || (until !== null && moment >= until) ? null : event;
    };
  }

  return {
    source,
    settings,
    views: compiled,
    hops: [...hops].sort((a, b) => a - b),
    failures,
    learn: records.learn,
    decoder(header) {
      if (settings.cells === "text") {
        const decode = csvDecoder(columns, source.eventTime, settings.nulls, header);
        return (message) => (typeof message === "string" ? decode(message) : failed(message.failure!));
      }
      const { decodeValue } = compileMessageDecoder(columns, { eventTime: source.eventTime });
      return (message) => (typeof message === "string" ? decodeValue(message) : records.decode(message));
    },
    toEvent: eventMaker(true),
    toUnhashedEvent: eventMaker(false),
  };
}

/** The columns with their places in the message. */
function columnsOf({ columns, format }: SourceMeta): readonly SourceColumn[] {
  const { paths, units } = format;
  return columns.map((column) => ({
    ...column,
    ...(paths[column.name] === undefined ? {} : { path: paths[column.name]! }),
    ...(units[column.name] === undefined ? {} : { unit: units[column.name]! }),
  }));
}

function csvDecoder(
  columns: readonly SourceColumn[],
  eventTime: string,
  nulls: readonly string[],
  header: string,
): (text: string) => DecodedPayload {
  const split = splitCsvRecord(header, ",");
  const names = typeof split === "string" ? [] : split.map((name) => name.trim());
  const decode = compileRowDecoder(columns, { eventTime, cells: "text", nulls }).bindHeader(names);
  return (text) => {
    const fields = splitCsvRecord(text, ",");
    if (typeof fields === "string") return failed(`Not CSV: ${fields}.`);
    if (fields.length === names.length) return decode(fields);
    return failed(`The record has ${fields.length} fields; the file's header has ${names.length}.`);
  };
}

function failed(reason: string): DecodeFailure {
  return { code: "DECODE_FAILED", reason };
}

/** A failure, not a row and not an event. */
export function isFailure(decoded: DecodedPayload | LoggedEvent | DecodeFailure): decoded is DecodeFailure {
  return !Array.isArray(decoded) && isDecodeFailure(decoded as DecodedPayload) && "reason" in decoded;
}
