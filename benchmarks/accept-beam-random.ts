import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import fc from "fast-check";
import { beamWorld } from "../integration/beam/beam-world.ts";
import {
  compareStreams,
  fileSourceOf,
  type StreamsComparison,
  topicSourceOf,
} from "../integration/beam/compare-streams.ts";
import { kafkaCluster } from "../integration/services/kafka-cluster.ts";
import type { BeamJobSource } from "../src/pipeline/beam-jobs.ts";
import { declarationsOf } from "../test/feature_engineering/beam/embedded-values.ts";
import { type RandomStream, randomStream } from "../test/feature_engineering/beam/random-stream.ts";

const DEADLINE_MS = 120_000;

/**
 * Acceptance: random declarations with random streams of late, repeated, conflicting, corrected and bad events, through
 * Beam on an embedded Flink, from files and from a real Kafka: values against the oracle, tiles against the embedded
 * engine. One job takes many streams, each a source of its own. Arguments: streams per job (8), jobs of each kind (2),
 * seed.
 */
export async function run(args: readonly string[]): Promise<void> {
  const [perJob = 8, jobs = 2, seed = Date.now() % 1_000_000] = args.map(Number);
  process.stdout.write(`seed ${seed}\n`);
  const cluster = await kafkaCluster();
  let failed = 0;
  try {
    for (const how of ["batch", "stream"] as const) {
      let cases = 0;
      let result: StreamsComparison = { values: 0, mismatches: 0, examples: [], events: 0, letters: 0 };
      for (let round = 0; round < jobs; round++) {
        const streams = streamsOf(`${how}_${round}`, perJob, seed + round);
        const one = await runStreams(how, streams, cluster.brokers);
        cases += streams.length;
        result = added(result, one);
      }
      failed += result.mismatches;
      print(`${how}: streams, events, dead letters`, `${cases}, ${result.events}, ${result.letters}`);
      print(`${how}: values and tiles, mismatches`, `${result.values}, ${result.mismatches}`, "0");
      for (const example of result.examples) process.stdout.write(`  ${example}\n`);
    }
  } finally {
    await cluster.close();
  }
  if (failed > 0) process.exitCode = 1;
}

function streamsOf(prefix: string, count: number, seed: number): RandomStream[] {
  const end = Date.now();
  return Array.from({ length: count }, (_, index) => {
    const options = { name: `${prefix}_${index}`, end, minEvents: 150, maxEvents: 400 };
    return fc.sample(randomStream(options), { numRuns: 1, seed: seed * 1_000 + index })[0]!;
  });
}

async function runStreams(
  how: "batch" | "stream",
  streams: readonly RandomStream[],
  brokers: readonly string[],
): Promise<StreamsComparison> {
  const world = await beamWorld(declarationsOf(streams), streams[0]!.source);
  const folder = await mkdtemp(join(tmpdir(), "millrace-beam-random-"));
  try {
    if (how === "batch") {
      const sources = await Promise.all(streams.map((stream) => fileSourceOf(stream, folder)));
      await (await world.files(sources, { heapMegabytes: 2_048 })).ended;
      return await compareStreams(streams, world, true);
    }
    const sources: BeamJobSource[] = [];
    for (const stream of streams) sources.push(await topicSourceOf(stream, brokers));
    const job = await world.streams(sources, { heapMegabytes: 2_048 });
    try {
      for (const until = Date.now() + DEADLINE_MS; ; ) {
        const result = await compareStreams(streams, world, false);
        if (Date.now() > until) return result;
        if (result.mismatches === 0) break;
        await Promise.race([pause(1_000), job.ended]);
      }
      // Whatever still comes must change nothing.
      await Promise.race([pause(5_000), job.ended]);
      return await compareStreams(streams, world, false);
    } finally {
      job.kill("SIGKILL");
      await job.ended.catch(() => {});
    }
  } finally {
    await world.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function added(a: StreamsComparison, b: StreamsComparison): StreamsComparison {
  return {
    values: a.values + b.values,
    mismatches: a.mismatches + b.mismatches,
    events: a.events + b.events,
    letters: a.letters + b.letters,
    examples: [...a.examples, ...b.examples].slice(0, 10),
  };
}

function print(what: string, figure: string, aim = ""): void {
  process.stdout.write(`${what.padEnd(40)} ${figure}${aim === "" ? "" : `   aim: ${aim}`}\n`);
}
