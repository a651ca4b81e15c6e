import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readJsonNumber } from "../../src/api/json-number.ts";

const cell = new Float64Array(1);

/** The number that the whole text is; null for none. */
function read(text: string): number | null {
  const bytes = Buffer.from(`${text},`, "latin1");
  return readJsonNumber(bytes, 0, cell, 0) === text.length ? cell[0]! : null;
}
function parsed(text: string): number | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "number" && text.trim() === text ? value : null;
  } catch {
    return null;
  }
}

describe("a number", () => {
  it("is what JSON.parse makes of it, of any form, or none", () => {
    const text = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc.stringMatching(/^-?(0|[1-9]\d{0,22})(\.\d{1,25})?([eE][+-]?\d{1,3})?$/),
      fc.stringMatching(/^-?0\.0{0,30}\d{1,19}([eE]-?\d{1,2})?$/),
      fc.stringMatching(/^[-+]?\d{0,3}\.?\d{0,3}([eE][+-]?\d{0,2})?$/),
      fc.stringMatching(/^[-+.eE\d]{0,8}$/),
      fc.constantFrom(
        "-0",
        "1e400",
        "-1e-400",
        "5e-324",
        "2.4703282292062327e-324",
        "1e99999999999",
        "0e999",
        "0.0e-9",
      ),
    );
    fc.assert(
      fc.property(text, (one) => {
        expect(read(one)).toBe(parsed(one));
      }),
      { numRuns: 60_000 },
    );
  });

  it("is rounded once, near the middle of two doubles too", () => {
    const middle = fc
      .tuple(
        fc.bigInt({ min: 2n ** 52n, max: 2n ** 53n - 1n }),
        fc.integer({ min: -60, max: 10 }),
        fc.integer({ min: -2, max: 2 }),
      )
      .map(([mantissa, exponent, off]) => {
        // 2·mantissa + 1 halves of a unit, with all of their digits; then as many as clients write, one more or less.
        const half = 2n * mantissa + 1n;
        const digits = exponent >= 0 ? half << BigInt(exponent) : half * 5n ** BigInt(-exponent);
        const text = digits.toString();
        const scale = exponent >= 0 ? 0 : -exponent;
        const short = BigInt(text.slice(0, 18)) + BigInt(off);
        return [`${digits}e-${scale}`, `${short}e${text.length - text.slice(0, 18).length - scale}`, `-0.${short}`];
      });
    fc.assert(
      fc.property(middle, (texts) => {
        for (const one of texts) expect(read(one)).toBe(JSON.parse(one));
      }),
      { numRuns: 20_000 },
    );
  });

  it("is right for bits of any kind, in the shortest form, in 17 digits, and as a single in a double", () => {
    // A generator of its own: fast-check's costs more than what it tests. The seed is printed by what fails.
    let state = (Math.random() * 2 ** 32) >>> 0;
    const seed = state;
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return (mixed ^ (mixed >>> 15)) >>> 0;
    };
    const bits = new Uint32Array(2);
    const double = new Float64Array(bits.buffer);
    const wrong: string[] = [];
    for (let i = 0; i < Number(process.env.MILLRACE_JSON_NUMBERS ?? 100_000); i++) {
      bits[0] = next();
      bits[1] = next();
      const any = Number.isFinite(double[0]!) ? double[0]! : 0;
      const common = (next() / 2 ** 32 - 0.5) * 10 ** (next() % 9);
      for (const value of [any, common, Math.fround(common), next() * 2 ** -32 + next() * 2 ** -64]) {
        for (const text of [String(value), value.toPrecision(17), value.toExponential(15)]) {
          if (!Object.is(read(text), JSON.parse(text))) wrong.push(text);
        }
      }
    }
    expect({ seed, wrong: wrong.slice(0, 10) }).toEqual({ seed, wrong: [] });
  });

  it("ends where its text ends, and is none where JSON has none", () => {
    const of = (text: string, at = 0): readonly number[] => [readJsonNumber(Buffer.from(text), at, cell, 0), cell[0]!];
    expect(of("12.5]")).toEqual([4, 12.5]);
    expect(of("12.5")).toEqual([4, 12.5]);
    expect(of("[-3e2 ,", 1)).toEqual([5, -300]);
    expect(of("1.5.5")).toEqual([3, 1.5]);
    for (const text of [
      "",
      "-",
      "+1",
      ".5",
      "1.",
      "1.e5",
      "01",
      "-01",
      "1e",
      "1e+",
      "12345678901234567890.",
      "NaN",
      " 1",
    ]) {
      expect(of(text)[0], text).toBe(-1);
    }
  });
});
