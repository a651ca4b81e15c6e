import { createHash } from "node:crypto";
import type { FeatureMeta, FeatureViewMeta } from "../../definitions/feature-view.ts";
import type { SourceMeta } from "../../definitions/source.ts";
import type { ColumnTypeSpec } from "../../definitions/value.ts";
import { apiError, invalidRequest } from "../api-errors.ts";
import type { FeastFrame } from "./feast-frame.ts";

/** Events of a source, as its decoder reads them: values by column. */
export type FeastEvents = readonly Readonly<Record<string, unknown>>[];

/**
 * A frame for `/push`: its columns are the source's. `event_timestamp` and `created` stand in for the event time and
 * for the version or the arrival time where the frame has no column of their own names.
 */
export function pushedEvents(source: SourceMeta, frame: FeastFrame): FeastEvents {
  const columns = new Map<string, readonly unknown[]>();
  for (const { name } of source.columns) {
    const values = frame.columns.get(name);
    if (values !== undefined) columns.set(name, values);
  }
  return events(source, frame, columns);
}

/**
 * A frame for `/write-to-online-store`: its columns are the view's keys and features. A row becomes an event of the
 * view's source, so only features that are the latest value of a column, unfiltered, can be written; what is computed
 * otherwise follows from events. A computed feature's column is allowed if it holds nothing.
 * @throws `FEATURE_COMPUTED`
 */
export function writtenEvents(view: FeatureViewMeta, frame: FeastFrame): FeastEvents {
  const { source } = view;
  const columns = new Map<string, readonly unknown[]>();
  const put = (column: string, given: string, values: readonly unknown[]): void => {
    const other = columns.get(column);
    if (other !== undefined && JSON.stringify(other, plain) !== JSON.stringify(values, plain))
      throw invalidRequest(`df.${given}`, `equal to the other columns that are written to column '${column}'`);
    columns.set(column, values);
  };
  for (const [name, values] of frame.columns) {
    const key = view.entity.keys.findIndex((one) => one.name === name);
    const feature = view.features.find((one) => one.name === name);
    if (key >= 0) put(view.keyColumns[key]!, name, values);
    else if (feature !== undefined) {
      const column = writableColumn(feature);
      if (column !== null) put(column, name, values);
      else if (values.some((value) => value !== null)) throw computed(view, feature);
    } else if (source.columns.some((column) => column.name === name)) put(name, name, values);
  }
  return events(source, frame, columns);
}

/** The source column whose latest value the feature is; null if it is computed otherwise. */
function writableColumn({ aggregate }: FeatureMeta): string | null {
  const { aggregation, input, where } = aggregate;
  return aggregation.name === "latest" && input?.op === "column" && where === null ? input.column : null;
}

function computed(view: FeatureViewMeta, feature: FeatureMeta): Error {
  return apiError(
    "FEATURE_COMPUTED",
    `Feature '${feature.name}' of view '${view.name}' is computed (${feature.aggregate.aggregation.name}) and cannot be written: push the events of source '${view.source.name}' that it is computed from.`,
    { details: { view: view.name, feature: feature.name, source: view.source.name } },
  );
}

function events(
  source: SourceMeta,
  frame: FeastFrame,
  columns: Map<string, readonly unknown[]>,
): Record<string, unknown>[] {
  const stand = (name: string | null, standIn: string): void => {
    const values = frame.columns.get(standIn);
    if (name !== null && values !== undefined && !columns.has(name)) columns.set(name, values);
  };
  const isTime = (name: string): boolean => source.columns.find((c) => c.name === name)?.type.kind === "timestamp";
  stand(source.eventTime, "event_timestamp");
  stand(source.version !== null && isTime(source.version) ? source.version : source.ingestedAt, "created");
  const readers = [...columns].map(([name, values]) => {
    const { type } = source.columns.find((column) => column.name === name)!;
    return { name, values, read: valueReader(type) };
  });
  const { id } = source;
  return Array.from({ length: frame.rows }, (_, row) => {
    const event: Record<string, unknown> = {};
    for (const { name, values, read } of readers) event[name] = read(values[row], name, row);
    // A client that sends a write again after a lost answer repeats the id, and adds nothing.
    if (id !== null && !columns.has(id)) event[id] = `feast-${contentHash(event)}`;
    return event;
  });
}

type ValueReader = (value: unknown, column: string, row: number) => unknown;

/** Feast's forms of values: a time is text, in UTC if it names no zone, or whole epoch seconds. */
function valueReader(type: ColumnTypeSpec): ValueReader {
  if (type.kind === "timestamp") return readTime;
  if (type.kind === "list" && type.item?.kind === "timestamp")
    return (value, column, row) =>
      Array.isArray(value) ? value.map((one: unknown) => readTime(one, column, row)) : value;
  return (value) => value;
}

const DATE = /^\d{4}-\d{2}-\d{2}$/;
const ZONE = /([zZ]|[+-]\d{2}(:?\d{2})?)$/;
/** What Feast's client sends for a missing time: NumPy's NaT as an integer. */
const NOT_A_TIME = -(2n ** 63n);
/** Epoch seconds beyond this are some other unit: the year is 5138. */
const MAX_SECONDS = 1e11;

function readTime(value: unknown, column: string, row: number): unknown {
  if (typeof value === "string") {
    const text = value.trim();
    if (DATE.test(text)) return `${text}T00:00:00Z`;
    return ZONE.test(text.slice(10)) ? text : `${text}Z`;
  }
  if (typeof value !== "number" && typeof value !== "bigint") return value;
  if (value === NOT_A_TIME) return null;
  const seconds = Number(value);
  if (!(Math.abs(seconds) < MAX_SECONDS))
    throw invalidRequest(`df.${column}[${row}]`, "epoch seconds, or text in ISO 8601");
  return Math.floor(seconds * 1_000);
}

function contentHash(event: Readonly<Record<string, unknown>>): string {
  const sorted = Object.keys(event)
    .sort()
    .map((name) => [name, event[name] ?? null]);
  return createHash("sha256").update(JSON.stringify(sorted, plain)).digest("hex").slice(0, 32);
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
