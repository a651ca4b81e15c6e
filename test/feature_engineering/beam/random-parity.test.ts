import fc from "fast-check";
import { expect, test } from "vitest";
import type { FeatureViewMeta } from "../../../src/definitions/feature-view.ts";
import { viewNumber } from "../../../src/feature_engineering/beam/script/view-number.ts";
import { viewVersion } from "../../../src/feature_engineering/plan/plan-hash.ts";
import type { OnlineStore } from "../../../src/feature_store/online/online-store.ts";
import { chooser } from "./chooser.ts";
import { compareValues, createComparison } from "./compare-values.ts";
import { clockOf, declarationsOf, embeddedValues } from "./embedded-values.ts";
import { compareWithOracle, eventsOf, type StoredValues } from "./oracle.ts";
import { randomStream } from "./random-stream.ts";
import { runScript, type ScriptStore } from "./script-host.ts";

const CASES = Number(process.env.BEAM_RANDOM_CASES ?? 150);
const END = 1_767_225_600_000;
const HOUR = 3_600_000;

test("whatever is declared and sent, however bundles, panes and restarts fall, the script's values are the oracle's and the embedded engine's", async () => {
  const choices = fc.record({
    stream: randomStream({ name: "random", end: END, maxEvents: 120 }),
    seed: fc.nat(),
    // Between two generations: when one of the messages arrived.
    handover: fc.option(fc.nat()),
  });
  await fc.assert(
    fc.asyncProperty(choices, async ({ stream, seed, handover }) => {
      const { source, views, messages } = stream;
      const moment = handover === null ? null : (messages[handover % Math.max(1, messages.length)]?.arrival ?? null);
      const declarations = declarationsOf([stream]);
      const store: ScriptStore = { values: new Map(), clocks: new Map(), letters: new Set() };
      const choose = chooser(seed);
      const job = { source: source.name, now: END };
      const run = (generation: number, from: number | null, until: number | null): void =>
        runScript(declarations, { ...job, generation, from, until }, messages, store, choose);
      if (moment === null) run(1, null, null);
      else {
        run(1, null, moment);
        run(2, moment, null);
      }
      // State that was lost: it reads everything again.
      if (choose(2) === 0) run(moment === null ? 1 : 2, moment, null);

      const result = { values: 0, mismatches: 0, examples: [] as string[] };
      const events = eventsOf(stream);
      const clock = clockOf(stream, END + 1);
      const times = [clock, clock + HOUR / 2, clock + 25 * HOUR];
      for (const view of views) compareWithOracle(view, events, valuesOf(store, view), times, result);
      expect(result.examples).toEqual([]);

      const embedded = await embeddedValues(stream, messages, END);
      const compared = createComparison();
      for (const view of views) {
        await compareValues(view, embedded.online, readOnly(store, view), clock, times, compared);
      }
      expect(compared.examples).toEqual([]);
      expect([...store.letters].sort()).toEqual(embedded.letters);
    }),
    { numRuns: CASES },
  );
});

function valuesOf(store: ScriptStore, view: FeatureViewMeta): StoredValues {
  const number = viewNumber(viewVersion(view));
  const found = new Map<string, Uint8Array>();
  for (const [name, value] of store.values) {
    if (Buffer.from(name, "hex").readUInt32LE(0) === number) found.set(name.slice(8), value);
  }
  return found;
}

/** As much of a store as a comparison reads. */
function readOnly(store: ScriptStore, view: FeatureViewMeta): OnlineStore {
  return {
    async *scan() {
      for (const [key, bytes] of valuesOf(store, view)) yield [{ key: Buffer.from(key, "hex"), value: { bytes } }];
    },
  } as unknown as OnlineStore;
}
