import { globSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { beamWorld } from "../integration/beam/beam-world.ts";
import { produceRows } from "../integration/beam/produce-rows.ts";
import { kafkaCluster } from "../integration/services/kafka-cluster.ts";
import { Meta } from "../src/definitions/meta.ts";
import type { RunningBeamJob } from "../src/feature_engineering/beam/run-beam-job.ts";
import type { OfflineStore } from "../src/feature_store/offline/offline-store.ts";
import type { StreamMessage } from "../src/ingestion/stream-message.ts";
import {
  compareWithOracle,
  messagesOf,
  payments,
  sent,
  views,
} from "../test/feature_engineering/engine/payments-world.ts";

const KILLS = 5;
const EVENTS = 3_000;
/** Behind every event. */
const END = 6_000_000;
const DEADLINE_MS = 60_000;
const source = payments[Meta];

/**
 * Acceptance: a job on an embedded Flink is killed five times while it streams, each time after a new checkpoint, and
 * restored from the newest one: in the end every value is the oracle's.
 */
export async function run(): Promise<void> {
  const declarations = {
    ...{ entities: views.map((view) => view.entity), sources: [source], views },
    services: [],
    models: [],
  };
  const [world, kafka] = await Promise.all([beamWorld(declarations, source), kafkaCluster()]);
  const messages = randomMessages(EVENTS, 20_261_127);
  const part = EVENTS / (KILLS + 1);
  let restored = 0;
  let job: RunningBeamJob | null = null;
  try {
    for (let round = 0; round <= KILLS; round++) {
      const rows = messages.slice(round * part, (round + 1) * part).map((message) => ({
        value: JSON.stringify(Object.fromEntries(source.columns.map(({ name }, i) => [name, message.payload[i]]))),
        arrival: message.ingestedAt,
        partition: 0,
      }));
      const half = round === KILLS ? rows.length : rows.length / 2;
      await produceRows(kafka.brokers, "payments", rows.slice(0, half), round === 0 ? 1 : null);
      const checkpoint = newestCheckpoint(world.state);
      if (checkpoint !== null) restored++;
      job = await world.stream(kafka.brokers, "payments", checkpoint === null ? {} : { savepoint: checkpoint });
      if (round === KILLS) break;
      await untilCheckpoint(world.state, checkpoint, job);
      // What is being folded and written behind the checkpoint comes again.
      const seen = eventsOf(job);
      await produceRows(kafka.brokers, "payments", rows.slice(half), null);
      await untilEvents(seen, job);
      job.kill("SIGKILL");
      await job.ended.catch(() => {});
    }
    let mismatch: unknown = null;
    let counted = 0;
    const ids = new Set(messages.map(({ payload, eventTime }) => `${payload[0]}@${eventTime}`)).size;
    for (const until = Date.now() + DEADLINE_MS; ; await pause(500)) {
      mismatch = await compareWithOracle(messages, world.hot, END).then(
        () => null,
        (error: unknown) => error,
      );
      // The two stores are written side by side.
      counted = await kept(world.cold);
      if ((mismatch === null && counted === ids) || Date.now() > until) break;
    }
    // A job that began anew would read the whole topic.
    const again = eventsOf(job!);
    process.stdout.write(`events that the last job folded         ${again}   aim: fewer than half\n`);
    process.stdout.write(`kills, restored from a checkpoint     ${KILLS}, ${restored}   aim: 5, 5\n`);
    process.stdout.write(
      `events, values equal to the oracle's  ${EVENTS}, ${mismatch === null ? "all" : "not all"}   aim: all\n`,
    );
    process.stdout.write(`events in PostgreSQL, distinct ids      ${counted}, ${ids}   aim: equal\n`);
    if (mismatch !== null || counted !== ids || again >= ids / 2) {
      if (mismatch !== null) process.stdout.write(`${(mismatch as Error).message}\n`);
      process.exitCode = 1;
    }
  } finally {
    job?.kill("SIGKILL");
    await job?.ended.catch(() => {});
    await Promise.all([world.close(), kafka.close()]);
  }
}

/** Late, duplicate and conflicting events of one partition, whose arrival is their time. */
function randomMessages(count: number, seed: number): StreamMessage[] {
  const [events] = fc.sample(fc.array(sent, { minLength: count, maxLength: count }), { numRuns: 1, seed });
  return messagesOf(events!.map((event) => ({ ...event, partition: 0, ingestedAt: event.row[5] as number })));
}

function newestCheckpoint(state: string): string | null {
  const folder = new URL(state).pathname;
  const [newest] = globSync("*/chk-*/_metadata", { cwd: folder })
    .map((file) => ({ path: dirname(join(folder, file)), time: statSync(join(folder, file)).mtimeMs }))
    .sort((a, b) => b.time - a.time);
  return newest === undefined ? null : pathToFileURL(newest.path).href;
}

/** A checkpoint of this run, taken after it had read something. */
async function untilCheckpoint(state: string, before: string | null, job: RunningBeamJob): Promise<void> {
  let seen: string | null = before;
  for (const until = Date.now() + DEADLINE_MS; Date.now() < until; ) {
    await Promise.race([pause(100), job.ended]);
    const events = eventsOf(job);
    const newest = newestCheckpoint(state);
    if (events > 1 && newest !== seen && newest !== null) {
      if (seen !== before) return;
      seen = newest;
    } else if (events <= 1) seen = before;
  }
}

function eventsOf(job: RunningBeamJob): number {
  return job.progress()?.counters[source.name]?.events ?? 0;
}

async function untilEvents(more: number, job: RunningBeamJob): Promise<void> {
  for (const until = Date.now() + DEADLINE_MS; eventsOf(job) <= more && Date.now() < until; ) {
    await Promise.race([pause(20), job.ended]);
  }
}

async function kept(cold: OfflineStore): Promise<number> {
  let count = 0;
  for (const { partitionId, committed } of await cold.partitions(source.name)) {
    for await (const events of cold.read(source.name, partitionId, -1, committed)) count += events.length;
  }
  return count;
}
