import { expect, test } from "vitest";
import type { FeatureServiceMeta } from "../../../src/definitions/feature-service.ts";
import {
  CategoricalTransform,
  entity,
  featureService,
  featureView,
  label,
  latest,
  memory,
  NumericTransform,
  streamSource,
  sum,
  t,
} from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import type { BeamFitJob } from "../../../src/feature_engineering/beam/beam-fit-job.ts";
import { writeFrameRow } from "../../../src/feature_engineering/beam/script/fit-frame.ts";
import { createFitBlocks, fitOutput, numberKey } from "../../../src/feature_engineering/beam/script/fit-output.ts";
import { createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { createServiceRuntime } from "../../../src/feature_store/service-runtime.ts";
import { createViewRuntime } from "../../../src/feature_store/view-runtime.ts";
import { beamFitJob, manifestOf } from "../../../src/pipeline/beam-fit.ts";
import { chooser } from "./chooser.ts";
import { openFitScript, runFit } from "./fit-host.ts";
import type { RandomMessage } from "./random-stream.ts";

const card = entity("card", { card: t.string() });
const payments = streamSource("payments", {
  stream: memory(),
  eventTime: "at",
  lateness: "1m",
  schema: { card: t.string(), amount: t.float64(), shop: t.string(), at: t.timestamp() },
});
const paying = featureView("paying", {
  source: payments,
  entity: card,
  features: { spend: sum(payments.amount).over("1h"), shop: latest(payments.shop) },
});
const T = 1_767_225_600_000;

function jobOf(features: object, rows: number): { job: BeamFitJob; service: FeatureServiceMeta } {
  const { [Meta]: service } = featureService("tested", { features: features as never });
  const job = beamFitJob({
    service,
    frame: { files: [], rows, first: T, last: T + rows },
    history: new Map([["payments", { input: { files: [] }, cells: "json", nulls: [] }]]),
    ...{ knowledge: "event_time", profile: true, result: "", script: "" },
  });
  return { job, service };
}

const event = (offset: number, amount: number): RandomMessage => ({
  ...{ partition: 0, offset, arrival: T, row: null },
  text: JSON.stringify({ card: "a", amount, shop: `shop ${offset}`, at: T - 1_000 * offset - 1 }),
});
const row = (index: number): string => writeFrameRow({ row: index, time: T + index, lookup: ["a"], labels: [] });

function fit(features: object, events: readonly RandomMessage[], rows: readonly string[], missing = 0): object {
  const { job, service } = jobOf(features, rows.length + missing);
  const runtime = createServiceRuntime(service, () => createViewRuntime(paying[Meta]));
  const lines = runFit(job, new Map([["payments", events]]), rows, chooser(7));
  return manifestOf(runtime, { rows: rows.length, knowledge: "event_time", profile: true }, lines);
}

test("a transform that cannot be fitted says so by its own code, in a later pass too", () => {
  const huge = [event(0, 1.7e308), event(1, 1.7e308)];
  const rows = [row(0), row(1)];
  const standardized = NumericTransform.of(paying.spend).impute("mean").standardize();
  // The sum of the window is infinite, which reads as null; 1.7e308 twice in the frame overflows its mean.
  expect(() => fit({ y: standardized }, [huge[0]!], rows)).toThrow(expect.objectContaining({ code: "FIT_OVERFLOW" }));
  expect(() => fit({ y: standardized.standardize() }, [huge[0]!], rows)).toThrow(
    expect.objectContaining({ code: "FIT_OVERFLOW", message: expect.stringContaining("'y'") }),
  );
});

test("rows that are not whole are said to be incomplete", () => {
  const features = { y: NumericTransform.of(paying.spend).standardize() };
  expect(() => fit(features, [event(0, 1)], [row(0)], 1)).toThrow(
    expect.objectContaining({ code: "BEAM_FIT_INCOMPLETE", message: expect.stringContaining("Row 1 ") }),
  );
});

test("a group that is too large is named: the view, or the rows", () => {
  const { job } = jobOf({ y: paying.spend, z: CategoricalTransform.of(paying.shop).ordinal() }, 2_500);
  const script = openFitScript(job);
  const problem = (step: "fitRead" | "fitAssemble" | "fitProfile", key: Uint8Array): string => {
    const frame = createByteWriter();
    frame.varint(0);
    frame.u8(2);
    frame.bytes(key);
    frame.u8(0);
    const said = createByteReader(script[step]("", frame.finish().buffer as ArrayBuffer));
    expect(said.u8()).toBe(2);
    const { problem: found } = JSON.parse(said.string()) as { problem: { code: string; message: string } };
    expect(found.code).toBe("BEAM_FIT_TOO_LARGE");
    expect(said.u8()).toBe(0);
    return found.message;
  };
  expect(problem("fitRead", numberKey(1))).toContain("An entity of view 'paying' (events of source 'payments')");
  expect(problem("fitAssemble", numberKey(2))).toContain("Rows 2000 to 2499 of the training frame");
  expect(problem("fitProfile", numberKey(0))).toContain("The profile of 'y'");
});

test("of several reasons why a transform could not learn the first by its words is kept, whoever merges them", () => {
  const won = label("won", t.float64());
  const { job } = jobOf({ y: CategoricalTransform.of(paying.shop).target(won) }, 0);
  const script = openFitScript(job);
  const failed = (message: string): Uint8Array => {
    const body = createByteWriter();
    body.varint(0);
    body.u8(1);
    body.string("FIT_TOO_LARGE");
    body.string(message);
    const out = createByteWriter();
    out.bytes(body.finish());
    return out.finish();
  };
  const joined = Buffer.concat([failed("b"), failed("a")]);
  const bytes = new Uint8Array(joined).buffer as ArrayBuffer;
  expect(Buffer.from(script.fitCompact("", bytes)).equals(failed("a"))).toBe(true);
});

test("entries of keys are given together, in the order in which they came", () => {
  const blocks = createFitBlocks();
  for (const [key, value] of [
    ["a", 1],
    ["b", 2],
    ["a", 3],
  ] as const) {
    blocks.entry.u8(value);
    blocks.end(key, () => Buffer.from(key));
  }
  const out = createByteWriter();
  for (let turn = 0; turn < 2; turn++) blocks.flush(fitOutput(out), 9);
  expect([...out.finish()]).toEqual([1, 1, 97, 3, 9, 1, 3, 1, 1, 98, 2, 9, 2]);
});
