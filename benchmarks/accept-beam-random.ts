import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import fc from "fast-check";
import { type BeamWorld, beamWorld } from "../integration/beam/beam-world.ts";
import { produceRows } from "../integration/beam/produce-rows.ts";
import { kafkaCluster } from "../integration/services/kafka-cluster.ts";
import { kafka } from "../src/definitions/index.ts";
import { viewVersion } from "../src/feature_engineering/plan/plan-hash.ts";
import type { OfflineStore } from "../src/feature_store/offline/offline-store.ts";
import { beamFile } from "../src/pipeline/beam-files.ts";
import type { BeamJobSource } from "../src/pipeline/beam-jobs.ts";
import { beamStream } from "../src/pipeline/beam-streams.ts";
import { compareValues, createComparison } from "../test/feature_engineering/beam/compare-values.ts";
import { clockOf, declarationsOf, embeddedValues } from "../test/feature_engineering/beam/embedded-values.ts";
import { compareWithOracle, eventsOf, type OracleComparison } from "../test/feature_engineering/beam/oracle.ts";
import { PARTITIONS, type RandomStream, randomStream } from "../test/feature_engineering/beam/random-stream.ts";

const HOUR = 3_600_000;
const DEADLINE_MS = 120_000;

interface Result extends OracleComparison {
  events: number;
  letters: number;
}

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
      let result: Result = { values: 0, mismatches: 0, examples: [], events: 0, letters: 0 };
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
): Promise<Result> {
  const world = await beamWorld(declarationsOf(streams), streams[0]!.source);
  const folder = await mkdtemp(join(tmpdir(), "millrace-beam-random-"));
  try {
    if (how === "batch") {
      const sources = await Promise.all(streams.map((stream) => fileSource(stream, folder)));
      await (await world.files(sources, { heapMegabytes: 2_048 })).ended;
      return await compare(streams, world, true);
    }
    const sources: BeamJobSource[] = [];
    for (const stream of streams) sources.push(await topicSource(stream, brokers));
    const job = await world.streams(sources, { heapMegabytes: 2_048 });
    try {
      for (const until = Date.now() + DEADLINE_MS; ; ) {
        const result = await compare(streams, world, false);
        if (Date.now() > until) return result;
        if (result.mismatches === 0) break;
        await Promise.race([pause(1_000), job.ended]);
      }
      // Whatever still comes must change nothing.
      await Promise.race([pause(5_000), job.ended]);
      return await compare(streams, world, false);
    } finally {
      job.kill("SIGKILL");
      await job.ended.catch(() => {});
    }
  } finally {
    await world.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function fileSource({ source, messages }: RandomStream, folder: string): Promise<BeamJobSource> {
  const path = join(folder, `${source.name}.jsonl`);
  // A file has no tombstones.
  await writeFile(path, messages.flatMap(({ text }) => (text === null ? [] : [text])).join("\n"));
  return { source, input: { files: [await beamFile(path)] } };
}

async function topicSource({ source, messages }: RandomStream, brokers: readonly string[]): Promise<BeamJobSource> {
  const rows = messages.map(({ text, arrival, partition }) => ({ value: text, arrival, partition }));
  await produceRows(brokers, source.name, rows, PARTITIONS);
  const connector = kafka({ topic: source.name });
  const input = beamStream({ ...source, connector }, { kafka: { default: { brokers } } }, null);
  return { source, input };
}

async function compare(streams: readonly RandomStream[], world: BeamWorld, files: boolean): Promise<Result> {
  const into: Result = { values: 0, mismatches: 0, examples: [], events: 0, letters: 0 };
  for (const stream of streams) {
    const { source, views, messages } = stream;
    const now = Date.now();
    const clock = clockOf(stream, now);
    const times = [clock, clock + HOUR / 2, clock + 25 * HOUR];
    const events = eventsOf(stream);
    const embedded = await embeddedValues(stream, messages, now);
    const tiles = createComparison();
    for (const view of views) {
      compareWithOracle(view, events, await storedValues(world, viewVersion(view)), times, into);
      // A value that is of no use any more is gone from Redis and not from memory.
      if (source.clock === "stream") await compareValues(view, embedded.online, world.hot, clock, times, tiles);
    }
    into.values += tiles.tiles;
    into.mismatches += tiles.mismatches;
    into.examples.push(...tiles.examples);
    const kept = await countOf(world.cold, source.name);
    if (kept !== events.length) miss(into, `${source.name}: ${events.length} events, ${kept} in history`);
    into.events += kept;
    const letters = (await world.cold.deadLetters({ source: source.name, limit: 10_000 })).map(({ code }) => code);
    // A conflict with an event that no value can need any more is not seen by a stream.
    const complete = files || source.clock === "stream";
    const expected = embedded.letters
      .map((letter) => letter.split(" ")[0]!)
      .filter((code) => complete || code !== "ID_CONFLICT");
    const found = letters.filter((code) => complete || code !== "ID_CONFLICT");
    if (found.sort().join() !== expected.sort().join()) {
      miss(into, `${source.name}: dead letters ${expected.join(" ")} became ${found.join(" ")}`);
    }
    into.letters += letters.length;
  }
  return into;
}

function miss(into: Result, text: string): void {
  into.mismatches++;
  into.examples.push(text);
}

async function storedValues(world: BeamWorld, keyspace: string): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  for await (const batch of world.hot.scan(keyspace)) {
    for (const { key, value } of batch) found.set(Buffer.from(key).toString("hex"), value.bytes);
  }
  return found;
}

async function countOf(cold: OfflineStore, source: string): Promise<number> {
  let count = 0;
  for (const { partitionId, committed } of await cold.partitions(source)) {
    for await (const events of cold.read(source, partitionId, -1, committed)) count += events.length;
  }
  return count;
}

function added(a: Result, b: Result): Result {
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
