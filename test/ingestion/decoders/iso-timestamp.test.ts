import fc from "fast-check";
import { expect, test } from "vitest";
import { lacksZone, parseIsoTimestamp } from "../../../src/ingestion/decoders/iso-timestamp.ts";

test("every instant that toISOString writes is read back", () => {
  const dates = fc.date({
    min: new Date("0000-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59.999Z"),
    noInvalidDate: true,
  });
  fc.assert(fc.property(dates, (date) => parseIsoTimestamp(date.toISOString()) === date.getTime()));
});

test("zones, spaces, missing seconds and long fractions are read", () => {
  const expected = Date.UTC(2026, 0, 31, 8, 15, 0);
  expect(parseIsoTimestamp("2026-01-31T08:15:00Z")).toBe(expected);
  expect(parseIsoTimestamp("2026-01-31t08:15z")).toBe(expected);
  expect(parseIsoTimestamp("2026-01-31 09:15:00+01:00")).toBe(expected);
  expect(parseIsoTimestamp("2026-01-31T03:45:00.000000-0430")).toBe(expected);
  expect(parseIsoTimestamp("2026-01-31T09:15:00+01")).toBe(expected);
  expect(parseIsoTimestamp("2026-01-30T24:00:00Z")).toBe(Date.UTC(2026, 0, 31));
  expect(parseIsoTimestamp("2026-01-31T08:15:00.1239999Z")).toBe(expected + 123);
});

test("fractions are floored before 1970 as well", () => {
  expect(parseIsoTimestamp("1969-12-31T23:59:59.9999Z")).toBe(-1);
  expect(parseIsoTimestamp("1969-12-31T23:59:59.0001Z")).toBe(-1000);
});

test("a time without a zone is refused and recognised", () => {
  for (const text of ["2026-01-31T08:15:00", "2026-01-31 08:15:00.5", "2026-01-31"]) {
    expect(parseIsoTimestamp(text)).toBeNaN();
    expect(lacksZone(text)).toBe(true);
  }
  expect(lacksZone("yesterday")).toBe(false);
});

test("what is no time is refused", () => {
  const texts = [
    "",
    "Z",
    "2026-02-30T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-31T25:00:00Z",
    "2026-01-31T24:00:01Z",
    "2026-01-31T08:60:00Z",
    "2026-01-31T08:15:60Z",
    "2026-01-31T08:15:00.Z",
    "2026-01-31T08:15:00Zjunk",
    "2026-01-31T08:15:00+1:00",
    "2026-01-31T08:15:00+25:00",
    "2026-1-31T08:15:00Z",
    "2026-01-31X08:15:00Z",
    "2026-01-31T08:15:0aZ",
  ];
  for (const text of texts) expect(parseIsoTimestamp(text), text).toBeNaN();
});
