import fc from "fast-check";
import { expect, test } from "vitest";
import type { FeatureServiceMeta } from "../../../src/definitions/feature-service.ts";
import { writeFrameRow } from "../../../src/feature_engineering/beam/script/fit-frame.ts";
import { createFeatureStore, type FeatureStore } from "../../../src/feature_store/feature-store.ts";
import { readLabels } from "../../../src/feature_store/labels.ts";
import { createTrainingSet } from "../../../src/feature_store/training-set.ts";
import { beamFitJob, manifestOf } from "../../../src/pipeline/beam-fit.ts";
import { chooser } from "./chooser.ts";
import { embeddedValues } from "./embedded-values.ts";
import { runFit } from "./fit-host.ts";
import { type RandomService, randomService } from "./random-service.ts";
import { type RandomStream, randomStream } from "./random-stream.ts";

const CASES = Number(process.env.BEAM_RANDOM_CASES ?? 150);
const END = 1_767_225_600_000;

const cases = randomStream({ name: "random", end: END, maxEvents: 80 }).chain((stream) =>
  fc.record({
    stream: fc.constant(stream),
    declared: randomService({ views: stream.views, name: "fitted", end: END + 1, maxRows: 40 }),
    seed: fc.nat(),
    knowledge: fc.constantFrom("event_time", "ingested_at"),
  }),
);

test("whatever is declared, however events, rows and partials are shared out, the manifest is that of the embedded training set", async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ({ stream, declared, seed, knowledge }) => {
      const store = await embeddedStore(stream, declared.service);
      const expected = await createTrainingSet(store, "fitted", { rows: declared.frame, knowledge }).then(
        ({ manifest }) => JSON.stringify(manifest),
        codeOf,
      );
      const found = await Promise.resolve()
        .then(() => JSON.stringify(fit(store, stream, declared, seed, knowledge)))
        .catch(codeOf);
      // A frame without any value of a label is refused before there is a job.
      if (expected !== "LABEL_MISSING") expect(found).toBe(expected);
    }),
    { numRuns: CASES },
  );
}, 240_000);

const codeOf = (error: { readonly code?: string }): string => {
  if (error.code === undefined) throw error;
  return error.code;
};

function fit(
  store: FeatureStore,
  { source, messages }: RandomStream,
  { service, frame }: RandomService,
  seed: number,
  knowledge: "event_time" | "ingested_at",
): object {
  const runtime = store.service("fitted");
  const times = frame.map((row) => row.event_timestamp as number);
  const job = beamFitJob({
    service,
    frame: { files: [], rows: frame.length, first: Math.min(...times), last: Math.max(...times) },
    history: new Map([[source.name, { input: { files: [] }, cells: "json", nulls: [] }]]),
    ...{ knowledge, profile: true, result: "", script: "" },
  });
  const lines = frame.map((row, index) =>
    writeFrameRow({
      row: index,
      time: row.event_timestamp as number,
      lookup: runtime.readLookup(Object.fromEntries(service.lookup.map(({ name }) => [name, row[name]]))),
      labels: runtime.row.passes === 0 ? [] : readLabels(runtime.row.labels, row, index),
    }),
  );
  const history = new Map([[source.name, messages]]);
  return manifestOf(
    runtime,
    { rows: frame.length, knowledge, profile: true },
    runFit(job, history, lines, chooser(seed)),
  );
}

async function embeddedStore(stream: RandomStream, service: FeatureServiceMeta): Promise<FeatureStore> {
  const { views } = service;
  const { online, offline } = await embeddedValues({ ...stream, views }, stream.messages, END);
  return createFeatureStore({ views, services: [service], online, offline, now: () => END, historyThreads: 1 });
}
