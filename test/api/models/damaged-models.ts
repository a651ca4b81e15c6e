import fc from "fast-check";
import { expect, test } from "vitest";
import { isMillraceError } from "../../../src/definitions/errors.ts";

const REFUSALS = ["MODEL_CORRUPT", "MODEL_UNSUPPORTED", "MODEL_TOO_LARGE"];

/** What a loaded tree model is asked for. */
export interface LoadedModel<Rows> {
  readonly featureCount: number;
  readonly outputWidth: number;
  predictRow(row: readonly number[]): ArrayLike<number>;
  predictBatch(rows: Rows, count: number, stride: number): ArrayLike<number>;
}

/** Loads and predicts; true if it worked, false if it was refused with a code of its own; any other error is thrown. */
export function survivalOf<Rows extends Float32Array | Float64Array>(
  load: (bytes: Uint8Array) => LoadedModel<Rows>,
  rowsOf: (length: number) => Rows,
): (bytes: Uint8Array) => boolean {
  return (bytes) => {
    try {
      const model = load(bytes);
      if (model.featureCount > 100_000) return true;
      expect(model.predictRow(new Array(model.featureCount).fill(0.5))).toHaveLength(model.outputWidth);
      const rows = rowsOf(5 * model.featureCount).fill(Number.NaN) as Rows;
      expect(model.predictBatch(rows, 5, model.featureCount)).toHaveLength(5 * model.outputWidth);
      return true;
    } catch (error) {
      if (isMillraceError(error) && REFUSALS.includes(error.code)) return false;
      throw error;
    }
  };
}

/**
 * Tests of every kind of file: whatever is cut off before `needed` bytes, changed, left out, doubled or made up is
 * refused, or loads and predicts.
 */
export function describeDamage(
  fixtures: readonly { readonly bytes: Uint8Array }[],
  survives: (bytes: Uint8Array) => boolean,
  { starts, needed }: { starts: readonly string[]; needed: (bytes: Uint8Array) => number },
): void {
  const anyFixture = fc.constantFrom(...fixtures);

  test("whatever is cut off", () => {
    fc.assert(
      fc.property(anyFixture, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), ({ bytes }, part) => {
        expect(survives(bytes.slice(0, Math.floor(part * needed(bytes))))).toBe(false);
      }),
      { numRuns: 400 },
    );
  });

  test("whichever bytes are changed", () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 });
    let refused = 0;
    let loaded = 0;
    fc.assert(
      fc.property(anyFixture, changes, ({ bytes }, edits) => {
        const copy = bytes.slice();
        for (const [at, byte] of edits) copy[at % copy.length] = byte;
        if (survives(copy)) loaded++;
        else refused++;
      }),
      { numRuns: 1500 },
    );
    expect(refused).toBeGreaterThan(100);
    expect(loaded).toBeGreaterThan(0);
  });

  test("whichever bytes are left out or doubled", () => {
    fc.assert(
      fc.property(anyFixture, fc.nat(), fc.nat(64), fc.boolean(), ({ bytes }, at, length, doubles) => {
        const start = at % bytes.length;
        const piece = bytes.subarray(start, start + length);
        const middle = doubles ? [...piece, ...piece] : [];
        survives(Uint8Array.from([...bytes.subarray(0, start), ...middle, ...bytes.subarray(start + length)]));
      }),
      { numRuns: 500 },
    );
  });

  test("bytes of no meaning at all", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...starts), (bytes, start) => {
        expect(survives(Uint8Array.from([...new TextEncoder().encode(start), ...bytes]))).toBe(false);
      }),
      { numRuns: 500 },
    );
  });
}
