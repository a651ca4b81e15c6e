import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { expect, test } from "vitest";
import { splitCsvRecord } from "../../../src/ingestion/decoders/csv-record.ts";
import { csvFramer, type RecordFramer } from "../../../src/ingestion/sources/record-framer.ts";

/** Frames a text cut at the given places. */
function frame(framer: RecordFramer, text: string, cuts: readonly number[]): readonly unknown[] {
  const records: unknown[] = [];
  let start = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    records.push(...framer(text.slice(start, Math.max(start, cut)), false));
    start = Math.max(start, cut);
  }
  records.push(...framer(text.slice(start), false), ...framer("", true));
  return records;
}

const field = fc.string({ unit: fc.constantFrom("a", "b", ",", '"', "\n", "\r\n", " ", "é", "😀"), maxLength: 6 });
const quotedAlways = (value: string): string => `"${value.replaceAll('"', '""')}"`;
const written = field.chain((value) =>
  /[",\r\n]/.test(value) || value === ""
    ? fc.constant(quotedAlways(value))
    : fc.constantFrom(value, quotedAlways(value)),
);
const csv = fc
  .array(fc.array(written, { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 8 })
  .chain((rows) =>
    fc
      .tuple(fc.constantFrom("\n", "\r\n"), fc.boolean())
      .map(([eol, last]) => rows.map((row) => row.join(",")).join(eol) + (last ? eol : "")),
  );

test("any well-formed CSV, cut into any pieces, reads as csv-parse reads it", () => {
  fc.assert(
    fc.property(csv, fc.array(fc.nat(60)), (text, cuts) => {
      const records = frame(csvFramer(","), text, cuts);
      expect(records.map((record) => splitCsvRecord(record as string, ","))).toEqual(
        parse(text, { record_delimiter: ["\r\n", "\n"] }),
      );
    }),
    { numRuns: 500 },
  );
});

test("how any text is framed does not depend on how it is cut", () => {
  const text = fc.string({ unit: fc.constantFrom("a", ",", '"', "\n", "\r"), maxLength: 80, size: "max" });
  fc.assert(
    fc.property(text, fc.array(fc.nat(80)), (content, cuts) => {
      expect(frame(csvFramer(",", 12), content, cuts)).toEqual(frame(csvFramer(",", 12), content, []));
    }),
    { numRuns: 1000 },
  );
});

test("a quote that is never closed, or closed amid a field, spoils its own line only", () => {
  for (const rest of ["e,f\n", 'e,"f\nf"\n']) {
    const records = frame(csvFramer(","), `a,b\n"c,d\n${rest}`, []);
    expect(records).toEqual(["a,b", '"c,d', rest.trimEnd()]);
    expect(splitCsvRecord('"c,d', ",")).toMatch(/never closes/);
  }
});

test("a malformed record is a reason, a quote inside a plain field is itself", () => {
  expect(splitCsvRecord('"a"b,c', ",")).toMatch(/after its closing quote/);
  expect(splitCsvRecord('"a', ",")).toMatch(/never closes/);
  expect(splitCsvRecord('5" pipe,x', ",")).toEqual(['5" pipe', "x"]);
  expect(splitCsvRecord('a;"b;c";', ";")).toEqual(["a", "b;c", ""]);
});
