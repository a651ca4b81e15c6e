import { delimiter } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { Meta } from "../src/definitions/meta.ts";
import type { StreamMessage } from "../src/ingestion/stream-message.ts";
import {
  compareWithOracle,
  messagesOf,
  payments,
  sent,
  views,
} from "../test/feature_engineering/engine/payments-world.ts";
import { type BeamWorld, beamWorld } from "./beam/beam-world.ts";
import { produceRows } from "./beam/produce-rows.ts";
import { startFlink } from "./services/flink-cluster.ts";
import { kafkaCluster } from "./services/kafka-cluster.ts";

const source = payments[Meta];
const declarations = { entities: views.map((view) => view.entity), sources: [source], views, services: [], models: [] };
/** Behind every event. */
const END = 6_000_000;
const DEADLINE_MS = 90_000;
const [events] = fc.sample(fc.array(sent, { minLength: 200, maxLength: 200 }), { numRuns: 1, seed: 6 });
const messages = messagesOf(events!.map((event) => ({ ...event, partition: 0, ingestedAt: event.row[5] as number })));

let world: BeamWorld;

beforeAll(async () => {
  world = await beamWorld(declarations, source);
});
beforeEach(async () => {
  for (const keyspace of await world.hot.keyspaces()) await world.hot.dropKeyspace(keyspace);
});
afterAll(async () => {
  await world?.close();
});

function lineOf({ payload }: StreamMessage): string {
  return JSON.stringify(Object.fromEntries(source.columns.map((column, index) => [column.name, payload[index]])));
}

it("gives the oracle's values on the Direct runner", async () => {
  await expect(compareWithOracle(messages, world.hot, END)).rejects.toThrow();
  await world.backfill(messages.map(lineOf), { runner: ["--runner=DirectRunner"] });
  await compareWithOracle(messages, world.hot, END);
});

it("gives the oracle's values with GraalJS, whose script reaches nothing of the host", async () => {
  await world.backfill(messages.map(lineOf), { engine: "graal", runner: ["--runner=DirectRunner"] });
  await compareWithOracle(messages, world.hot, END);
});

it("streams on a Flink cluster, and goes on there from a savepoint", async () => {
  const { java, classPath } = world.host;
  const jar = classPath.split(delimiter)[0];
  const kafka = await kafkaCluster();
  const flink = await startFlink(java, classPath).catch(async (error: unknown) => {
    await kafka.close();
    throw error;
  });
  try {
    const runner = [
      "--runner=FlinkRunner",
      `--flinkMaster=${flink.master}`,
      `--filesToStage=${jar}`,
      "--parallelism=1",
    ];
    const half = messages.length / 2;
    const produced = (list: readonly StreamMessage[]) =>
      list.map((message) => ({ value: lineOf(message), arrival: message.ingestedAt, partition: 0 }));
    await produceRows(kafka.brokers, "payments", produced(messages.slice(0, half)), 1);
    const job = await world.stream(kafka.brokers, "payments", { runner });
    await until(() => compareWithOracle(messages.slice(0, half), world.hot, END), job.ended);
    job.stop(world.state);
    const { savepoint, state } = await job.ended;
    expect(state).toBe("cancelled");
    expect(savepoint).toMatch(/^file:/);
    await produceRows(kafka.brokers, "payments", produced(messages.slice(half)), null);
    const resumed = await world.stream(kafka.brokers, "payments", { runner, savepoint: savepoint! });
    await until(() => compareWithOracle(messages, world.hot, END), resumed.ended);
    resumed.stop(null);
    expect((await resumed.ended).state).toBe("cancelled");
  } finally {
    await Promise.all([kafka.close(), flink.close()]);
  }
});

async function until(check: () => Promise<void>, ended: Promise<unknown>): Promise<void> {
  for (const deadline = Date.now() + DEADLINE_MS; ; ) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await Promise.race([pause(250), ended.then(() => Promise.reject(error))]);
    }
  }
}
