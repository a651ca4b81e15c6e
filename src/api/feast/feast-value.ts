import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";

/** Writes one value as JSON. */
export type FeastValueWriter = (value: Value) => string;

/**
 * Compiles how Feast's client wants a column's values. It guesses types from the JSON: a double always has a point or an
 * exponent, an int64 all its digits as a number, a timestamp is whole epoch seconds.
 */
export function feastValueWriter(type: ColumnTypeSpec): FeastValueWriter {
  switch (type.kind) {
    case "float64":
      return (value) => {
        if (typeof value !== "number" || !Number.isFinite(value)) return "null";
        const text = String(value);
        return Number.isInteger(value) && !text.includes("e") ? `${text}.0` : text;
      };
    case "timestamp":
      return (value) => (typeof value === "number" ? String(Math.floor(value / 1_000)) : "null");
    case "string":
    case "one_of":
      return (value) => JSON.stringify(value);
    case "list": {
      const write = feastValueWriter(type.item ?? { kind: "string", nullable: true });
      return (value) => (Array.isArray(value) ? `[${value.map(write).join(",")}]` : "null");
    }
    case "int32":
    case "int64":
    case "bool":
      return String;
  }
}

/** An entity's key or request value as it came, as JSON. */
export function feastEcho(value: unknown): string {
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  return typeof value === "bigint" ? String(value) : (JSON.stringify(value) ?? "null");
}

let day = Number.NaN;
let dayText = "";

/** Epoch milliseconds as a JSON string in ISO 8601 UTC; the epoch, as Feast has it, for −Infinity. */
export function feastTime(ms: number): string {
  if (!(Math.abs(ms) <= 8.64e15)) return EPOCH;
  const start = Math.floor(ms / 86_400_000);
  if (start !== day) {
    day = start;
    dayText = `"${new Date(ms).toISOString().slice(0, -14)}`;
  }
  const rest = ms - start * 86_400_000;
  const minutes = Math.floor(rest / 60_000);
  const within = rest - minutes * 60_000;
  const seconds = Math.floor(within / 1_000);
  return `${dayText}${CLOCK[minutes]!}${TWO[seconds]!}.${THREE[within - seconds * 1_000]!}Z"`;
}

/** What Feast says of a value without an event. */
export const EPOCH = '"1970-01-01T00:00:00Z"';
const TWO = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, "0"));
const THREE = Array.from({ length: 1_000 }, (_, n) => String(n).padStart(3, "0"));
/** `Thh:mm:` by the minute of the day. */
const CLOCK = Array.from({ length: 1_440 }, (_, n) => `T${TWO[Math.floor(n / 60)]!}:${TWO[n % 60]!}:`);
