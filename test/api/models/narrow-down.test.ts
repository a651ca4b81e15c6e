import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { modelError } from "../../../src/api/models/model-errors.ts";
import { narrowDown } from "../../../src/api/models/narrow-down.ts";

interface Outcome {
  readonly answered: number[];
  readonly rejected: number[];
  attempts: number;
}

/** Of rows 0 to n − 1, those of `wrong` make each attempt fail that they are part of. */
async function narrow(
  n: number,
  wrong: ReadonlySet<number>,
  attempts = Infinity,
  kind?: "operational",
): Promise<Outcome> {
  const outcome: Outcome = { answered: [], rejected: [], attempts: 0 };
  const failure = modelError("MODEL_RUN_FAILED", "refused", kind === undefined ? {} : { kind });
  await narrowDown(
    Array.from({ length: n }, (_, i) => i),
    failure,
    {
      attempts,
      reject: (one) => outcome.rejected.push(one),
      async attempt(part) {
        outcome.attempts++;
        if (part.some((one) => wrong.has(one))) throw failure;
        outcome.answered.push(...part);
      },
    },
  );
  outcome.answered.sort((a, b) => a - b);
  outcome.rejected.sort((a, b) => a - b);
  return outcome;
}

describe("a batch of which some rows are wrong", () => {
  it("fails those rows and answers all others", async () => {
    const rows = fc.integer({ min: 1, max: 64 });
    await fc.assert(
      fc.asyncProperty(rows, fc.array(fc.nat(63), { minLength: 1 }), async (n, chosen) => {
        const wrong = new Set(chosen.map((one) => one % n));
        const { answered, rejected } = await narrow(n, wrong);
        expect(rejected).toEqual([...wrong].sort((a, b) => a - b));
        expect(answered).toEqual(Array.from({ length: n }, (_, i) => i).filter((i) => !wrong.has(i)));
      }),
    );
  });

  it("takes two attempts for each halving until the wrong one stands alone", async () => {
    for (const row of [0, 17, 63]) expect((await narrow(64, new Set([row]))).attempts).toBe(12);
    expect((await narrow(64, new Set([3, 60]), 24)).rejected).toEqual([3, 60]);
  });

  it("is given up after so many attempts where all of it fails, and settles every row", async () => {
    const all = new Set(Array.from({ length: 64 }, (_, i) => i));
    const { attempts, rejected } = await narrow(64, all, 24);
    expect(attempts).toBe(24);
    expect(rejected).toEqual([...all]);
  });

  it("is not tried again where the whole is down", async () => {
    const { attempts, rejected } = await narrow(64, new Set([1]), Infinity, "operational");
    expect(attempts).toBe(0);
    expect(rejected).toHaveLength(64);
  });
});
