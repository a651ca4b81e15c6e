import type { Data, DataType } from "apache-arrow";
import { millraceError } from "../definitions/errors.ts";
import type { ColumnTypeSpec, Value } from "../definitions/value.ts";
import type { FeatureStatus } from "../feature_engineering/windows/read-features.ts";
import type { OnlineFeatures } from "../feature_store/feature-store.ts";

export const ARROW_STREAM = "application/vnd.apache.arrow.stream";

type Arrow = typeof import("apache-arrow");

/** The dictionary of the status columns: a status is its index. */
const STATUSES: readonly FeatureStatus[] = ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"];
const INDEX = new Map(STATUSES.map((status, index) => [status, index]));

/**
 * Writes what was read as an Arrow IPC stream of one record batch: a column per feature, then per feature `name:status`
 * (a dictionary of text), then the bool column `:head_overlap`. The schema's metadata hold `millrace.service` and
 * `millrace.as_of` (ISO 8601). No name of a feature has a colon, so none can clash.
 * @throws `PACKAGE_MISSING`
 */
export async function onlineArrow(read: OnlineFeatures): Promise<Uint8Array> {
  const arrow = await loadArrow();
  const rows = read.rows.length;
  const fields: InstanceType<Arrow["Field"]>[] = [];
  const children: Data[] = [];
  const add = (name: string, data: Data, nullable: boolean): void => {
    fields.push(new arrow.Field(name, data.type as DataType, nullable));
    children.push(data);
  };
  for (const [c, { name, type }] of read.columns.entries()) {
    add(
      name,
      columnData(
        arrow,
        type,
        Array.from({ length: rows }, (_, r) => read.rows[r]![c]!),
      ),
      true,
    );
  }
  const dictionary = arrow.vectorFromArray([...STATUSES], new arrow.Utf8());
  const statusType = new arrow.Dictionary(new arrow.Utf8(), new arrow.Int8(), 0);
  for (const [c, { name }] of read.columns.entries()) {
    const data = Int8Array.from({ length: rows }, (_, r) => INDEX.get(read.statuses[r]![c]!)!);
    add(`${name}:status`, arrow.makeData({ type: statusType, length: rows, nullCount: 0, data, dictionary }), false);
  }
  const overlap = bits(rows, (r) => read.headOverlap[r]!);
  add(":head_overlap", arrow.makeData({ type: new arrow.Bool(), length: rows, nullCount: 0, data: overlap }), false);
  const about = new Map([
    ["millrace.service", read.service],
    ["millrace.as_of", new Date(read.asOf).toISOString()],
  ]);
  const schema = new arrow.Schema(fields, about);
  const struct = arrow.makeData({ type: new arrow.Struct(fields), length: rows, nullCount: 0, children });
  const writer = arrow.RecordBatchStreamWriter.writeAll([new arrow.RecordBatch(schema, struct)]);
  return writer.toUint8Array(true);
}

/** The values of a column as Arrow holds them. */
export function columnData(arrow: Arrow, type: ColumnTypeSpec, values: readonly Value[]): Data {
  const length = values.length;
  let nullCount = 0;
  for (let i = 0; i < length; i++) if (values[i] === null) nullCount++;
  const nullBitmap = nullCount === 0 ? null : bits(length, (i) => values[i] !== null);
  const common = { length, nullCount, nullBitmap };
  switch (type.kind) {
    case "float64":
      return arrow.makeData({ ...common, type: new arrow.Float64(), data: Float64Array.from(values, numberOf) });
    case "int32":
      return arrow.makeData({ ...common, type: new arrow.Int32(), data: Int32Array.from(values, numberOf) });
    case "int64":
      return arrow.makeData({ ...common, type: new arrow.Int64(), data: BigInt64Array.from(values, bigintOf) });
    case "timestamp": {
      const data = BigInt64Array.from(values, (value) => BigInt(numberOf(value)));
      return arrow.makeData({ ...common, type: new arrow.TimestampMillisecond("UTC"), data });
    }
    case "bool":
      return arrow.makeData({ ...common, type: new arrow.Bool(), data: bits(length, (i) => values[i] === true) });
    case "string":
    case "one_of": {
      const texts = values.map((value) => Buffer.from(typeof value === "string" ? value : ""));
      const valueOffsets = new Int32Array(length + 1);
      for (let i = 0; i < length; i++) valueOffsets[i + 1] = valueOffsets[i]! + texts[i]!.length;
      return arrow.makeData({ ...common, type: new arrow.Utf8(), valueOffsets, data: Buffer.concat(texts) });
    }
    case "list": {
      const item = type.item ?? { kind: "string", nullable: true };
      const lists = values.map((value) => (Array.isArray(value) ? (value as readonly Value[]) : []));
      const valueOffsets = new Int32Array(length + 1);
      for (let i = 0; i < length; i++) valueOffsets[i + 1] = valueOffsets[i]! + lists[i]!.length;
      const child = columnData(arrow, item, lists.flat());
      const list = new arrow.List(new arrow.Field("item", child.type as DataType, true));
      return arrow.makeData({ ...common, type: list, valueOffsets, child });
    }
  }
}

function numberOf(value: Value): number {
  return typeof value === "number" ? value : 0;
}

function bigintOf(value: Value): bigint {
  return typeof value === "bigint" ? value : 0n;
}

/** A bitmap, the first bit lowest. */
function bits(length: number, isSet: (index: number) => boolean): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(length / 8));
  for (let i = 0; i < length; i++) if (isSet(i)) bytes[i >> 3]! |= 1 << (i & 7);
  return bytes;
}

async function loadArrow(): Promise<Arrow> {
  try {
    return await import("apache-arrow");
  } catch (cause) {
    throw millraceError(
      "PACKAGE_MISSING",
      "Answers in Arrow need the package apache-arrow beside Millrace: npm install apache-arrow. JSON needs nothing.",
      { cause, kind: "operational" },
    );
  }
}
