import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chiSquare, upperGamma } from "../../../src/feature_engineering/profiles/chi-square.ts";
import { driftVerdict } from "../../../src/feature_engineering/profiles/drift-verdict.ts";
import { jensenShannon } from "../../../src/feature_engineering/profiles/jensen-shannon.ts";
import { kolmogorovSmirnov, kolmogorovTail } from "../../../src/feature_engineering/profiles/kolmogorov-smirnov.ts";
import { populationStabilityIndex } from "../../../src/feature_engineering/profiles/population-stability-index.ts";
import {
  numberBin,
  profileBuilder,
  serviceProfileBuilder,
} from "../../../src/feature_engineering/profiles/profile-builder.ts";
import { readServiceProfile } from "../../../src/feature_engineering/profiles/value-profile.ts";

const counts = fc.array(fc.nat(1_000), { minLength: 2, maxLength: 12 });
const pair = fc
  .tuple(counts, counts)
  .map(([a, b]) => [a.slice(0, b.length), b.slice(0, a.length)] as const)
  .filter(([a, b]) => a.some((n) => n > 0) && b.some((n) => n > 0));

describe("statistics of two histograms", () => {
  it("are zero for equal ones, symmetric, and within their bounds", () => {
    fc.assert(
      fc.property(pair, ([a, b]) => {
        expect(populationStabilityIndex(a, a)).toBeCloseTo(0, 12);
        expect(jensenShannon(a, a)).toBeCloseTo(0, 12);
        expect(chiSquare(a, a).p).toBeCloseTo(1, 9);
        expect(kolmogorovSmirnov(a, a)).toEqual({ statistic: 0, p: 1 });
        expect(populationStabilityIndex(a, b)).toBeCloseTo(populationStabilityIndex(b, a), 9);
        expect(populationStabilityIndex(a, b)).toBeGreaterThanOrEqual(0);
        expect(jensenShannon(a, b)).toBeCloseTo(jensenShannon(b, a), 12);
        expect(chiSquare(a, b).statistic).toBeCloseTo(chiSquare(b, a).statistic, 6);
        const { statistic, p } = kolmogorovSmirnov(a, b);
        expect(statistic).toBeLessThanOrEqual(1);
        for (const one of [p, chiSquare(a, b).p]) expect(one >= 0 && one <= 1).toBe(true);
      }),
    );
  });

  it("are one bit apart where nothing is shared", () => {
    expect(jensenShannon([10, 0], [0, 3])).toBe(1);
    expect(kolmogorovSmirnov([10, 0], [0, 3]).statistic).toBe(1);
  });

  it("have tails that never rise, and known values", () => {
    // scipy.special.kolmogorov and gammaincc
    expect(kolmogorovTail(1)).toBeCloseTo(0.26999967167735456, 12);
    expect(kolmogorovTail(0.5)).toBeCloseTo(0.9639452436648751, 12);
    expect(upperGamma(4.5, 9)).toBeCloseTo(0.03517353946698361, 10);
    expect(upperGamma(0.5, 0.01)).toBeCloseTo(0.8875370839817152, 12);
    fc.assert(
      fc.property(
        fc.double({ min: 0.5, max: 60, noNaN: true }),
        fc.double({ min: 0, max: 200, noNaN: true }),
        (a, x) => {
          expect(upperGamma(a, x + 1)).toBeLessThanOrEqual(upperGamma(a, x) + 1e-12);
        },
      ),
    );
  });
});

describe("a profile", () => {
  it("puts every number in the bin whose edges hold it", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer(), { maxLength: 9 }), fc.integer(), (raw, value) => {
        const edges = raw.sort((a, b) => a - b);
        const naive = edges.findIndex((edge) => value <= edge);
        expect(numberBin(edges, value)).toBe(naive === -1 ? edges.length : naive);
      }),
    );
  });

  it("counts what was added, is read back from JSON, and is the same for the same rows", () => {
    const values = fc.array(fc.oneof(fc.constant(null), fc.double({ noNaN: true, noDefaultInfinity: true })), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(values, (rows) => {
        const make = () => {
          const builder = serviceProfileBuilder([{ name: "x", type: { kind: "float64", nullable: true } }]);
          for (const row of rows) builder.add(() => row);
          return builder.finish();
        };
        const profile = make();
        const numbers = rows.filter((row) => row !== null);
        expect(profile.features.x).toMatchObject({
          rows: rows.length,
          nulls: rows.length - numbers.length,
          min: numbers.length === 0 ? null : Math.min(...numbers),
        });
        const sum = profile.features.x!.shares.reduce((a, b) => a + b, 0);
        expect(sum).toBeCloseTo(numbers.length === 0 ? 0 : 1, 4);
        expect(JSON.stringify(make())).toBe(JSON.stringify(profile));
        expect(readServiceProfile(JSON.parse(JSON.stringify({ profile })))).toEqual(
          JSON.parse(JSON.stringify(profile)),
        );
      }),
    );
  });

  it("keeps the most frequent texts and the share of the others", () => {
    const builder = profileBuilder({ kind: "string", nullable: true })!;
    for (let i = 0; i < 100; i++) builder.add(i < 50 ? "a" : i < 60 ? null : `t${i}`);
    const profile = builder.finish();
    expect(profile).toMatchObject({ kind: "category", rows: 100, nulls: 10 });
    expect(profile.kind === "category" && profile.categories[0]).toBe("a");
    expect(profile.shares.length).toBe(21);
    expect(profile.shares.at(-1)).toBeCloseTo(21 / 90, 5);
  });

  it.each([
    [{}, "no version"],
    [{ version: 1 }, "no features"],
    [
      { version: 1, features: { x: { kind: "number", rows: 1, nulls: 2, shares: [1], edges: [], min: 0, max: 0 } } },
      "'x'",
    ],
    [
      {
        version: 1,
        features: { x: { kind: "number", rows: 1, nulls: 0, shares: [1, 0, 0], edges: [2, 1], min: 0, max: 3 } },
      },
      "'x'",
    ],
  ])("is refused where it is malformed: %j", (profile, why) => {
    expect(() => readServiceProfile({ profile })).toThrow(expect.objectContaining({ code: "PROFILE_INVALID" }));
    expect(() => readServiceProfile({ profile })).toThrow(why);
  });

  it("is none where the manifest has none, or a later form", () => {
    expect(readServiceProfile({})).toBeNull();
    expect(readServiceProfile({ profile: { version: 2 } })).toBeNull();
  });
});

describe("a verdict", () => {
  const builder = profileBuilder({ kind: "float64", nullable: true })!;
  for (let i = 0; i < 5_000; i++) builder.add(i % 100);
  const profile = builder.finish();
  const even = new Array<number>(10).fill(50);

  it("finds nothing in the profile's own shares, a shift, nulls and values out of range", () => {
    expect(driftVerdict(profile, { bins: even, nulls: 0, outOfRange: 0 }, 30).reasons).toEqual([]);
    const shifted = [0, 0, 0, 0, 0, 100, 100, 100, 100, 100];
    expect(driftVerdict(profile, { bins: shifted, nulls: 0, outOfRange: 0 }, 30).reasons).toEqual(["distribution"]);
    expect(driftVerdict(profile, { bins: even, nulls: 100, outOfRange: 0 }, 30).reasons).toEqual(["nulls"]);
    expect(driftVerdict(profile, { bins: even, nulls: 0, outOfRange: 40 }, 30).reasons).toEqual(["range"]);
  });

  it("says nothing below a hundred rows, and nothing of trifles in many", () => {
    expect(
      driftVerdict(profile, { bins: [0, 0, 0, 0, 0, 0, 0, 0, 0, 99], nulls: 0, outOfRange: 0 }, 1).reasons,
    ).toEqual([]);
    const trifle = [1_050, 950, 1_050, 950, 1_050, 950, 1_050, 950, 1_050, 950].map((n) => n * 100);
    expect(driftVerdict(profile, { bins: trifle, nulls: 0, outOfRange: 0 }, 1).reasons).toEqual([]);
  });
});
