import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { profileBuilder, serviceProfileBuilder } from "../../../src/feature_engineering/profiles/profile-builder.ts";
import { rowQuality } from "../../../src/monitoring/quality/row-quality.ts";
import { rowSampler } from "../../../src/monitoring/quality/row-sampler.ts";
import { valueWindow } from "../../../src/monitoring/quality/value-window.ts";

const type = { kind: "float64", nullable: true } as const;
const columns = [{ name: "delay", type }];

function trained() {
  const builder = serviceProfileBuilder(columns);
  for (let i = 0; i < 4_000; i++) builder.add(() => (i * 37) % 120);
  return builder.finish();
}

describe("a window of values", () => {
  it("counts what the last sub-windows hold, as counting them again does", () => {
    const builder = profileBuilder(type)!;
    for (let i = 0; i < 100; i++) builder.add(i);
    const profile = builder.finish();
    const step = fc.oneof(fc.constant("rotate" as const), fc.constant(null), fc.integer({ min: -20, max: 120 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const window = valueWindow(profile, 3);
        let parts: (number | null)[][] = [[]];
        for (const one of steps) {
          if (one === "rotate") {
            window.rotate();
            parts = [...parts, []].slice(-3);
          } else {
            window.add(one);
            parts.at(-1)!.push(one);
          }
        }
        const all = parts.flat();
        const fresh = valueWindow(profile, 1);
        for (const one of all) fresh.add(one);
        expect([...window.bins]).toEqual([...fresh.bins]);
        expect(window.nulls).toBe(all.filter((one) => one === null).length);
        expect(window.outOfRange).toBe(all.filter((one) => one !== null && (one < 0 || one > 99)).length);
      }),
    );
  });
});

describe("the quality of rows", () => {
  it("finds a unit error, and takes it back when values are as before", () => {
    const quality = rowQuality(columns, trained());
    const feed = (rows: number, factor: number): void => {
      for (let i = 0; i < rows; i++) quality.add(() => ((i * 53) % 120) * factor, 0);
    };
    feed(3_000, 1);
    expect(quality.columns[0]).toMatchObject({ baseline: "training_set", drifted: false });
    feed(500, 60);
    expect(quality.columns[0]).toMatchObject({ drifted: true, driftedSince: 0 });
    feed(4_000, 1);
    expect(quality.columns[0]).toMatchObject({ drifted: false, driftedSince: null });
  });

  it("compares with the first rows where there is no profile", () => {
    const quality = rowQuality(columns, null);
    for (let i = 0; i < 999; i++) quality.add(() => i % 7, 0);
    expect(quality.columns[0]).toMatchObject({ baseline: null, verdict: null });
    for (let i = 0; i < 500; i++) quality.add(() => i % 7, 0);
    expect(quality.columns[0]).toMatchObject({ baseline: "first_rows", drifted: false });
    for (let i = 0; i < 500; i++) quality.add(() => null, 0);
    expect(quality.columns[0]!.drifted).toBe(true);
    expect(quality.columns[0]!.verdict!.reasons).toContain("nulls");
  });

  it("forgets what is older than a day", () => {
    const quality = rowQuality(columns, trained());
    for (let i = 0; i < 400; i++) quality.add(() => 9_999, 0);
    const day = 86_400_000;
    for (let i = 0; i < 100; i++) quality.add(() => (i * 53) % 120, day);
    expect(quality.columns[0]!.verdict!.rows).toBe(100);
  });
});

describe("a sampler of rows", () => {
  it("takes all of few and at most fifty a second of many", () => {
    const sampler = rowSampler();
    expect(sampler.take(3, 0)).toBe(3);
    expect(sampler.take(10_000, 0)).toBe(497);
    expect(sampler.take(1, 0)).toBe(0);
    expect(sampler.take(1_000, 1_000)).toBe(50);
    expect(sampler.take(1_000_000, 1e9)).toBe(500);
  });
});
