import { describe, expect, it } from "vitest";
import { createModelHost } from "../../../src/api/models/create-model-host.ts";
import type { ModelHost } from "../../../src/api/models/model-host.ts";
import { createModelSources } from "../../../src/api/models/model-sources.ts";
import { featureService, type Model, model, modelFolder, requestSource, t } from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import { createFeatureStore } from "../../../src/feature_store/feature-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import { codeOf } from "./fixtures.ts";

const request = requestSource({ amount: t.float64(), at: t.timestamp(), n: t.int64(), word: t.string().nullable() });
const row = featureService("row_v1", {
  features: { amount: request.amount, at: request.at, n: request.n, word: request.word },
});
const output = { score: t.float64(), kind: t.oneOf("low", "high"), n: t.int64(), is_new: t.bool() };
const ROW = { amount: 2, at: "2026-01-02T03:04:05Z", n: 3, word: null };

async function open(declared: unknown): Promise<ModelHost> {
  const sources = createModelSources({ mlflow: {}, scoring: {}, cacheFolder: "unused", cacheBytes: 1 });
  const host = createModelHost({
    models: [(declared as Model<object, object>)[Meta]],
    features: createFeatureStore({
      views: [],
      services: [row[Meta]],
      online: memoryOnlineStore(),
      offline: null,
      now: () => 0,
    }),
    sourceOf: sources.sourceOf,
    pollSeconds: 3_600,
    cacheBytes: 2 ** 20,
    log: { info: () => {}, warn: () => {} },
    now: () => 0,
  });
  await host.start();
  return host;
}

describe("a model that is a function", () => {
  it("reads rows as user code sees them, may be asynchronous, and answers by the output's names", async () => {
    const seen: unknown[] = [];
    await using host = await open(
      model("m", {
        inputs: row,
        output,
        predict: async (given) => {
          seen.push(given);
          return { is_new: given.word === null, kind: "high", score: given.amount * 2, n: given.n + 1n };
        },
      }),
    );
    const { version, predictions } = await host.predict("m", { rows: [ROW, { ...ROW, amount: 5, word: "w" }] });
    expect(predictions).toEqual([
      { score: 4, kind: "high", n: 4n, is_new: true },
      { score: 10, kind: "high", n: 4n, is_new: false },
    ]);
    expect(seen.at(-2)).toEqual({ amount: 2, at: new Date("2026-01-02T03:04:05Z"), n: 3n, word: null });
    expect(version).toMatch(/^[0-9a-f]{12}$/);
  });

  it("has the version that it declares, and answers large batches, too", async () => {
    await using host = await open(
      model("m", {
        inputs: row,
        output: { score: t.float64() },
        version: "v3",
        predict: ({ amount }) => ({ score: amount }),
      }),
    );
    const rows = Array.from({ length: 1_200 }, (_, amount) => ({ ...ROW, amount }));
    const { version, predictions } = await host.predict("m", { rows });
    expect(version).toBe("v3");
    expect(predictions.map(({ score }) => score)).toEqual(rows.map(({ amount }) => amount));
  });

  it("that fails or answers what it does not declare gives a clear error, and other requests go on", async () => {
    let answer: () => unknown = () => ({ score: 1 });
    await using host = await open(
      // biome-ignore lint/suspicious/noExplicitAny: wrong on purpose
      model("m", { inputs: row, output: { score: t.float64() }, predict: () => answer() as any }),
    );
    const code = (): Promise<unknown> => codeOf(() => host.predict("m", { rows: [ROW] }));
    answer = () => {
      throw new TypeError("no");
    };
    expect(await code()).toBe("MODEL_RUN_FAILED");
    for (const wrong of [{ score: "1" }, {}, null, undefined, 5]) {
      answer = () => wrong;
      expect(await code()).toBe("MODEL_OUTPUT_MISMATCH");
    }
    answer = () => ({ score: Number.NaN });
    expect((await host.predict("m", { rows: [ROW] })).predictions).toEqual([{ score: null }]);
  });

  it("is declared instead of a source, not beside it", () => {
    const predict = (): { score: number } => ({ score: 1 });
    const declare = (more: object): unknown =>
      model("m", { inputs: row, output: { score: t.float64() }, ...(more as { predict: typeof predict }) });
    expect(() => declare({})).toThrow(/one of source .* and predict/);
    expect(() => declare({ predict, source: modelFolder("x") })).toThrow(/one of source/);
    expect(() => declare({ predict: 5 })).toThrow(/one of source/);
  });
});
