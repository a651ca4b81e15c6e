import fc from "fast-check";
import { expect, it } from "vitest";
import type { ColumnTypeSpec, Value } from "../../../src/definitions/value.ts";
import { readLoggedLine, writeLoggedLine } from "../../../src/feature_engineering/beam/script/logged-line.ts";

const type = (kind: ColumnTypeSpec["kind"], more: Partial<ColumnTypeSpec> = {}): ColumnTypeSpec => ({
  kind,
  nullable: true,
  ...more,
});
const TYPES = [
  ...[type("string"), type("int64"), type("float64"), type("bool"), type("timestamp")],
  ...[type("list", { item: type("int64") }), type("list", { item: type("string") })],
];
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const time = fc.integer({ min: -8_640_000_000_000_000, max: 8_640_000_000_000_000 });
const double = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const orNull = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(values, { nil: null });
const row: fc.Arbitrary<Value[]> = fc.tuple(
  ...[orNull(fc.string({ unit: "grapheme" })), orNull(int64), orNull(double), orNull(fc.boolean()), orNull(time)],
  ...[orNull(fc.array(int64)), orNull(fc.array(fc.string()))],
);

it("reads an event of the log as it was written, in one line", () => {
  fc.assert(
    fc.property(
      fc.tuple(word, word, word, word),
      orNull(fc.oneof(double, int64)),
      time,
      time,
      row,
      (hash, version, eventTime, ingestedAt, cells) => {
        const [hash0, hash1, hash2, hash3] = hash;
        const event = { ...{ hash0, hash1, hash2, hash3, version, eventTime, ingestedAt }, row: cells };
        const position = { partitionId: 0, offset: 0, id: null };
        const line = writeLoggedLine({ ...event, ...position });
        expect(line).not.toContain("\n");
        expect(readLoggedLine(line, TYPES)).toEqual({ ...event, ...position });
      },
    ),
  );
});
