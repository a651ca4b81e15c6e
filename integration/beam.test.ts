import { setTimeout as pause } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Meta } from "../src/definitions/meta.ts";
import { createFeatureStore } from "../src/feature_store/feature-store.ts";
import type { StreamMessage } from "../src/ingestion/stream-message.ts";
import { createPipeline } from "../src/pipeline/pipeline.ts";
import {
  compareWithOracle,
  messagesOf,
  payments,
  sent,
  views,
} from "../test/feature_engineering/engine/payments-world.ts";
import { type BeamWorld, beamWorld } from "./beam/beam-world.ts";
import { produceRows } from "./beam/produce-rows.ts";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";

const source = payments[Meta];
const declarations = { entities: views.map((view) => view.entity), sources: [source], views, services: [], models: [] };
/** Behind every event. */
const END = 6_000_000;
const MOMENT = 2_500_000;
const DEADLINE_MS = 60_000;

let world: BeamWorld;
let kafka: KafkaCluster;

beforeAll(async () => {
  [world, kafka] = await Promise.all([beamWorld(declarations, source), kafkaCluster()]);
});
afterAll(async () => {
  await Promise.all([world?.close(), kafka?.close()]);
});

/** Late, duplicate and conflicting events of one partition, whose arrival is their time. */
function randomMessages(count: number, seed: number): StreamMessage[] {
  const [events] = fc.sample(fc.array(sent, { minLength: count, maxLength: count }), { numRuns: 1, seed });
  return messagesOf(events!.map((event) => ({ ...event, partition: 0, ingestedAt: event.row[5] as number })));
}

function lineOf({ payload }: StreamMessage): string {
  return JSON.stringify(Object.fromEntries(source.columns.map((column, index) => [column.name, payload[index]])));
}

async function allValues(): Promise<string[]> {
  const found: string[] = [];
  for (const keyspace of await world.hot.keyspaces()) {
    for await (const batch of world.hot.scan(keyspace)) {
      for (const { key, value } of batch)
        found.push(`${keyspace} ${Buffer.from(key).toString("hex")} ${value.revision}`);
    }
  }
  return found.sort();
}

it("gives every entity the oracle's values, from files and on from Kafka, through a savepoint, with nothing twice", async () => {
  const messages = randomMessages(600, 20_261_127);
  const bad = ["{", '{"id":"x"}'];
  const lines = messages.map(lineOf);
  const first = messages.filter((message) => message.eventTime < MOMENT);
  await world.backfill([...lines, ...bad], { until: MOMENT });
  await compareWithOracle(first, world.hot, END);
  const before = await allValues();
  expect(before.length).toBeGreaterThan(4);
  await world.backfill([...lines, ...bad], { until: MOMENT });
  expect(await allValues()).toEqual(before);
  expect((await world.cold.deadLetters({ source: source.name, limit: 100 })).map((one) => one.code)).toEqual(
    expect.arrayContaining(["DECODE_FAILED", "INVALID_VALUE"]),
  );

  // The topic has the events of before the moment too: they are the files'.
  const half = messages.length / 2;
  const produced = (list: readonly StreamMessage[]) =>
    list.map((message) => ({ value: lineOf(message), arrival: message.ingestedAt, partition: 0 }));
  await produceRows(kafka.brokers, "payments", produced(messages.slice(0, half)), 1);
  const job = await world.stream(kafka.brokers, "payments", { generation: 2, from: MOMENT });
  await until(() => compareWithOracle([...first, ...later(messages.slice(0, half))], world.hot, END), job.ended);
  job.stop(world.state);
  const { savepoint } = await job.ended;
  expect(savepoint).toMatch(/^file:/);

  await produceRows(kafka.brokers, "payments", produced(messages.slice(half)), null);
  const resumed = await world.stream(kafka.brokers, "payments", { generation: 2, from: MOMENT, savepoint: savepoint! });
  await until(() => compareWithOracle([...first, ...later(messages)], world.hot, END), resumed.ended);
  // A job that is killed goes on with its number from the start of the topic: nothing counts twice.
  resumed.kill("SIGKILL");
  await resumed.ended.catch(() => {});

  const pipeline = createPipeline({ ...declarations, online: world.hot, offline: world.cold, beam: [source.name] });
  const settled = await allValues();
  await pipeline.recover();
  await pipeline.start();
  await expect(pipeline.push(source.name, [])).rejects.toMatchObject({ code: "SOURCE_OF_BEAM" });
  await pipeline.close();
  expect(await allValues()).toEqual(settled);
  const store = createFeatureStore({ ...declarations, online: world.hot, offline: null, now: () => END });
  expect(store).toBeDefined();
});

function later(messages: readonly StreamMessage[]): StreamMessage[] {
  return messages.filter((message) => message.eventTime >= MOMENT);
}

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
