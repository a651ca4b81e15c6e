import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { kafka } from "../../src/definitions/index.ts";
import { viewVersion } from "../../src/feature_engineering/plan/plan-hash.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import { beamFile } from "../../src/pipeline/beam-files.ts";
import type { BeamJobSource } from "../../src/pipeline/beam-jobs.ts";
import { beamStream } from "../../src/pipeline/beam-streams.ts";
import { compareValues, createComparison } from "../../test/feature_engineering/beam/compare-values.ts";
import { clockOf, embeddedValues } from "../../test/feature_engineering/beam/embedded-values.ts";
import { compareWithOracle, eventsOf, type OracleComparison } from "../../test/feature_engineering/beam/oracle.ts";
import { PARTITIONS, type RandomStream } from "../../test/feature_engineering/beam/random-stream.ts";
import type { BeamWorld } from "./beam-world.ts";
import { produceRows } from "./produce-rows.ts";

const HOUR = 3_600_000;

export interface StreamsComparison extends OracleComparison {
  events: number;
  letters: number;
}

/**
 * Compares what a job has made of random streams: values with the oracle's, tiles with the embedded engine's, history and
 * dead letters with both. `files`: it was a batch, which sees every message.
 */
export async function compareStreams(
  streams: readonly RandomStream[],
  world: BeamWorld,
  files: boolean,
): Promise<StreamsComparison> {
  const into: StreamsComparison = { values: 0, mismatches: 0, examples: [], events: 0, letters: 0 };
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

function miss(into: StreamsComparison, text: string): void {
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

/** A random stream as a file of JSON lines in a folder. */
export async function fileSourceOf({ source, messages }: RandomStream, folder: string): Promise<BeamJobSource> {
  const path = join(folder, `${source.name}.jsonl`);
  // A file has no tombstones.
  await writeFile(path, messages.flatMap(({ text }) => (text === null ? [] : [text])).join("\n"));
  return { source, input: { files: [await beamFile(path)] } };
}

/** A random stream as a topic of Kafka, which it makes. */
export async function topicSourceOf(
  { source, messages }: RandomStream,
  brokers: readonly string[],
): Promise<BeamJobSource> {
  const rows = messages.map(({ text, arrival, partition }) => ({ value: text, arrival, partition }));
  await produceRows(brokers, source.name, rows, PARTITIONS);
  const connector = kafka({ topic: source.name });
  const input = beamStream({ ...source, connector }, { kafka: { default: { brokers } } }, null);
  return { source, input };
}
