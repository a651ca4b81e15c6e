import fc from "fast-check";
import { expect, test } from "vitest";
import type { SourceColumn } from "../../../src/ingestion/decoders/row-decoder.ts";
import { csvTime, jsonTime } from "../../../src/ingestion/sources/record-time.ts";

const at: SourceColumn = { name: "at", type: { kind: "timestamp", nullable: false } };
const T0 = Date.UTC(2026, 0, 1);
const iso = (ms: number): string => new Date(ms).toISOString();

test("the time of a line of JSON is what parsing the line gives, however the line is written", () => {
  const time = fc.integer({ min: 0, max: 4e12 });
  const name = fc.constantFrom('"at"', '"\\u0061t"', '"x"', '"at "');
  const value = fc.oneof(
    time.map((ms) => JSON.stringify(iso(ms))),
    time.map(String),
    time.map((ms) => `${ms}.5`),
    fc.constantFrom(
      '"at"',
      '"\\"at\\":1"',
      "null",
      "{}",
      `{"at":${T0}}`,
      `["at",1]`,
      "1e12",
      "-5",
      "12345678901234567890",
    ),
  );
  const space = fc.constantFrom("", " ", "\t");
  const fields = fc.array(fc.tuple(name, space, space, value, space), { maxLength: 4 });
  const read = jsonTime(at);
  fc.assert(
    fc.property(fields, (parts) => {
      const line = `{${parts.map(([key, a, b, text, c]) => `${key}${a}:${b}${text}${c}`).join(",")}}`;
      const parsed = (JSON.parse(line) as { at?: unknown }).at;
      let expected = Number.NaN;
      if (typeof parsed === "string" && parsed.length === 24) expected = Date.parse(parsed);
      else if (typeof parsed === "number" && Math.abs(parsed) < 8.64e15) expected = Math.floor(parsed);
      // Without a field of that name at the top, whatever is read only places a dead letter.
      if (parsed !== undefined && parsed !== null && typeof parsed !== "object") expect(read(line)).toEqual(expected);
    }),
    { numRuns: 3000 },
  );
});

test("a field within another and an escaped name do not mislead", () => {
  const read = jsonTime(at);
  expect(read(`{"x":{"at":5},"at":${T0}}`)).toBe(T0);
  expect(read(`{"x":{"at":5},"\\u0061t":${T0}}`)).toBe(T0);
  expect(read(`{"at":1,"at":${T0}}`)).toBe(T0);
  expect(jsonTime({ ...at, path: "meta.at" })(`{"at":5,"meta":{"at":"${iso(T0)}"}}`)).toBe(T0);
});

test("the time of a CSV record is that of its field, quoted or not, first or last", () => {
  const read = (header: readonly string[], record: string): number => csvTime(at, header, ",", ["NA"])(record);
  expect(read(["at", "x"], `${iso(T0)},1`)).toBe(T0);
  expect(read(["x", "at"], `1,${iso(T0)}`)).toBe(T0);
  expect(read(["x", "at", "y"], `"a,b","${iso(T0)}",z`)).toBe(T0);
  for (const record of ["1", "1,", "1,NA", '"1,'] as const) expect(read(["x", "at"], record)).toBeNaN();
  expect(read(["x"], "1")).toBeNaN();
});
