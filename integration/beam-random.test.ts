import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { BeamJobSource } from "../src/pipeline/beam-jobs.ts";
import { declarationsOf } from "../test/feature_engineering/beam/embedded-values.ts";
import { type RandomStream, randomStream } from "../test/feature_engineering/beam/random-stream.ts";
import { type BeamWorld, beamWorld } from "./beam/beam-world.ts";
import { compareStreams, fileSourceOf, type StreamsComparison, topicSourceOf } from "./beam/compare-streams.ts";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";

const DEADLINE_MS = 90_000;
const SEED = Number(process.env.BEAM_RANDOM_SEED ?? Date.now() % 1_000_000);
/** With a wall clock and with one of its own, of each two: some have ids, versions and arrivals, some have not. */
const CLOCKS = ["wall", "stream", "wall", "stream"] as const;

const end = Date.now();
const [filed, streamed] = (["filed", "streamed"] as const).map((how, at) =>
  CLOCKS.map((clock, index): RandomStream => {
    const options = { name: `${how}_${index}`, end, minEvents: 60, maxEvents: 150, clock };
    return fc.sample(randomStream(options), { numRuns: 1, seed: SEED * 100 + at * 10 + index })[0]!;
  }),
) as [RandomStream[], RandomStream[]];

let folder = "";
let world: BeamWorld;
let cluster: KafkaCluster;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-beam-random-"));
  const all = [...filed, ...streamed];
  [world, cluster] = await Promise.all([beamWorld(declarationsOf(all), all[0]!.source), kafkaCluster()]);
});
afterAll(async () => {
  await Promise.all([world?.close(), cluster?.close()]);
  await rm(folder, { recursive: true, force: true });
});

function expectSame(compared: StreamsComparison): void {
  expect({ seed: SEED, examples: compared.examples }).toEqual({ seed: SEED, examples: [] });
  expect(compared.mismatches).toBe(0);
  expect(compared.values).toBeGreaterThan(50);
  expect(compared.events).toBeGreaterThan(100);
}

it("gives the oracle's values of random declarations and files on Flink", async () => {
  await world.fold(await Promise.all(filed.map((stream) => fileSourceOf(stream, folder))));
  expectSame(await compareStreams(filed, world, true));
});

it("gives the oracle's values of random declarations and topics on Flink, and says how far it is behind", async () => {
  const sources: BeamJobSource[] = [];
  for (const stream of streamed) sources.push(await topicSourceOf(stream, cluster.brokers));
  const job = await world.streams(sources);
  try {
    for (const until = Date.now() + DEADLINE_MS; ; ) {
      const compared = await compareStreams(streamed, world, false);
      if (compared.mismatches === 0) break;
      if (Date.now() > until) expectSame(compared);
      await Promise.race([pause(500), job.ended]);
    }
    // Watermarks move on while nothing comes, behind the wall clock; a source with a clock of its own has none.
    const levels = (index: number) => job.progress()?.levels?.[streamed[index]!.source.name];
    for (const until = Date.now() + DEADLINE_MS; levels(0)?.watermark_ms === undefined && Date.now() < until; ) {
      await Promise.race([pause(250), job.ended]);
    }
    const { watermark_ms: watermark = 0, backlog_messages: backlog } = levels(0)!;
    expect(watermark).toBeGreaterThan(end - 120_000);
    expect(watermark).toBeLessThan(Date.now() - streamed[0]!.source.latenessMs);
    expect(backlog).toBe(0);
    expect(levels(1)).not.toHaveProperty("watermark_ms");
    expectSame(await compareStreams(streamed, world, false));
  } finally {
    job.kill("SIGKILL");
    await job.ended.catch(() => {});
  }
});
