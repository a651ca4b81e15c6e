import type { ColumnTypeSpec, Value } from "../../../definitions/value.ts";

/** A row of a training frame as the launcher writes it for the workers: a line of JSON. */
export interface FitFrameRow {
  /** Its position in the frame, from 0. */
  readonly row: number;
  /** t, epoch milliseconds. */
  readonly time: number;
  /** In the order of `service.lookup`. */
  readonly lookup: readonly Value[];
  /** In the order of `CompiledRow.labels`; none where nothing is fitted. */
  readonly labels: readonly Value[];
}

export function writeFrameRow({ row, time, lookup, labels }: FitFrameRow): string {
  return JSON.stringify([row, time, lookup.map(jsonOfValue), labels.map(jsonOfValue)]);
}

export function readFrameRow(
  line: string,
  lookup: readonly ColumnTypeSpec[],
  labels: readonly ColumnTypeSpec[],
): FitFrameRow {
  const [row, time, looked, learned] = JSON.parse(line) as [number, number, readonly unknown[], readonly unknown[]];
  return {
    row,
    time,
    lookup: looked.map((json, index) => valueOfJson(json, lookup[index]!)),
    labels: learned.map((json, index) => valueOfJson(json, labels[index]!)),
  };
}

/** A value as JSON that {@link valueOfJson} reads. */
export function jsonOfValue(value: Value): unknown {
  if (typeof value === "bigint") return String(value);
  return Array.isArray(value) ? value.map(jsonOfValue) : value;
}

export function valueOfJson(json: unknown, type: ColumnTypeSpec): Value {
  if (json === null) return null;
  if (type.kind === "int64") return BigInt(json as string);
  if (type.kind === "list") return (json as unknown[]).map((item) => valueOfJson(item, type.item!));
  return json as Value;
}
