import { PubSub, type Topic } from "@google-cloud/pubsub";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { memoryLeases } from "../src/feature_store/offline/partition-leases.ts";
import { memoryIdempotencyLog } from "../src/ingestion/idempotency-log.ts";
import type { MessageSource, RawBatch } from "../src/ingestion/message-source.ts";
import type { PubsubSourceOptions } from "../src/ingestion/sources/pubsub-options.ts";
import { pubsubSource } from "../src/ingestion/sources/pubsub-source.ts";
import { leasedPartition } from "../src/pipeline/shared-leases.ts";
import { type PubsubServer, pubsubServer } from "./services/pubsub-server.ts";

let server: PubsubServer;
let client: PubSub;
let names = 0;
const opened: MessageSource[] = [];

beforeAll(async () => {
  // Google's client would look for a machine of Google's.
  process.env.METADATA_SERVER_DETECTION = "none";
  server = await pubsubServer();
  client = new PubSub({ projectId: "tests", apiEndpoint: server.address, emulatorMode: true });
});
afterAll(async () => {
  for (const source of opened) await source.close();
  await client?.close();
  await server?.close();
});

async function newSubscription(options: object = {}, publisher: object = {}): Promise<{ topic: Topic; name: string }> {
  const name = `events-${names++}`;
  await client.createTopic(name);
  const topic = client.topic(name, publisher);
  await topic.createSubscription(name, options);
  return { topic, name };
}

function source(subscription: string, options: Partial<PubsubSourceOptions> = {}): MessageSource {
  const made = pubsubSource({ subscription, projectId: "tests", emulator: server.address, ...options });
  opened.push(made);
  return made;
}

/** A cold store: positions and ids that were committed. */
function coldStore() {
  const log = memoryIdempotencyLog();
  let offset = -1;
  return {
    idempotencyLog: log,
    resume: async () => ({ offset, cursor: null }),
    async commit(batch: RawBatch): Promise<void> {
      await log.record(batch.pushes ?? []);
      offset = batch.messages.at(-1)!.offset;
    },
  };
}

const textsOf = (batch: RawBatch): string[] =>
  batch.messages.map((message) => Buffer.from(message.value as Uint8Array).toString());

async function read(
  from: MessageSource,
  cold: ReturnType<typeof coldStore>,
  count: number,
): Promise<RawBatch["messages"][number][]> {
  const signal = AbortSignal.timeout(60_000);
  const all: RawBatch["messages"][number][] = [];
  while (all.length < count) {
    const batch = (await from.fetch(100, signal))!;
    all.push(...batch.messages);
    await cold.commit(batch);
    await from.checkpoint(batch.partition, batch.messages.at(-1)!.offset);
  }
  return all;
}

const publish = (topic: Topic, texts: readonly string[], more: object = {}): Promise<unknown> =>
  Promise.all(
    texts.map((text) => topic.publishMessage({ data: Buffer.from(text), attributes: { trace: text }, ...more })),
  );
const some = (from: number, count: number): string[] => Array.from({ length: count }, (_, i) => `m${from + i}`);

describe("a Pub/Sub source", () => {
  it("gives each message once, with its attributes, at offsets of its own", async () => {
    const { topic, name } = await newSubscription();
    const cold = coldStore();
    const from = source(name, cold);
    await from.open(cold.resume);
    await publish(topic, some(0, 300));
    const seen = await read(from, cold, 300);
    expect(new Set(seen.map((m) => Buffer.from(m.value as Uint8Array).toString())).size).toBe(300);
    expect(seen.map((m) => m.offset)).toEqual(Array.from({ length: 300 }, (_, i) => i));
    expect(seen[0]!.headers).toEqual({ trace: Buffer.from(seen[0]!.value as Uint8Array).toString() });
    expect(Math.abs(seen[0]!.ingestedAt! - Date.now())).toBeLessThan(60_000);
    expect(await from.lag()).toEqual([{ partition: "pubsub:0", messages: null, seconds: 0 }]);
  });

  it("brings again what was not committed, and not what was committed without its acknowledgement", async () => {
    const { topic, name } = await newSubscription();
    const cold = coldStore();
    const first = source(name, cold);
    await first.open(cold.resume);
    await publish(topic, some(0, 40));
    const committed = new Set<string>();
    const signal = AbortSignal.timeout(60_000);
    while (committed.size < 20) {
      const batch = (await first.fetch(20 - committed.size, signal))!;
      await cold.commit(batch);
      for (const text of textsOf(batch)) committed.add(text);
    }
    // Ends as a crash does after the commit: no checkpoint, so nothing was acknowledged.
    await first.close();
    const second = source(name, cold);
    await second.open(cold.resume);
    const rest = await read(second, cold, 20);
    const texts = rest.map((m) => Buffer.from(m.value as Uint8Array).toString());
    expect([...committed, ...texts].sort()).toEqual(some(0, 40).sort());
    expect(rest[0]!.offset).toBe(20);
  });

  it("keeps the order of an ordering key, and its key", async () => {
    const { topic, name } = await newSubscription({ enableMessageOrdering: true }, { messageOrdering: true });
    const cold = coldStore();
    const from = source(name, cold);
    await from.open(cold.resume);
    await publish(topic, some(0, 100), { orderingKey: "card-1" });
    const seen = await read(from, cold, 100);
    expect(seen.map((m) => Buffer.from(m.value as Uint8Array).toString())).toEqual(some(0, 100));
    expect(Buffer.from(seen[0]!.key!).toString()).toBe("card-1");
  });

  it("reads a subscription that delivers exactly once", async () => {
    const { topic, name } = await newSubscription({ enableExactlyOnceDelivery: true });
    const cold = coldStore();
    const from = source(name, cold);
    await from.open(cold.resume);
    await publish(topic, some(0, 100));
    const seen = await read(from, cold, 100);
    expect(seen.map((m) => Buffer.from(m.value as Uint8Array).toString()).sort()).toEqual(some(0, 100).sort());
  });

  it("reads what a dead-letter policy moved, whose attempts others used up", async () => {
    const dead = await newSubscription();
    const deadLetterPolicy = { deadLetterTopic: dead.topic.name, maxDeliveryAttempts: 5 };
    const { topic, name } = await newSubscription({ deadLetterPolicy });
    const attempts: number[] = [];
    const failing = client.subscription(name);
    failing.on("message", (message) => {
      attempts.push(message.deliveryAttempt);
      message.nack();
    });
    await publish(topic, ["cursed"]);
    const cold = coldStore();
    const from = source(dead.name, cold);
    await from.open(cold.resume);
    expect(textsOf({ messages: await read(from, cold, 1) } as never)).toEqual(["cursed"]);
    expect(attempts).toEqual([1, 2, 3, 4, 5]);
    await failing.close();
  });

  it("gives what a topic with a schema took as it is", async () => {
    const name = `schema-${names++}`;
    const definition = JSON.stringify({ type: "record", name: "Order", fields: [{ name: "n", type: "int" }] });
    await client.createSchema(name, "AVRO", definition);
    await client.createTopic({
      name,
      schemaSettings: { schema: `projects/tests/schemas/${name}`, encoding: "JSON" },
    });
    const topic = client.topic(name);
    await topic.createSubscription(name);
    const cold = coldStore();
    const from = source(name, cold);
    await from.open(cold.resume);
    await publish(topic, ['{"n":1}']);
    expect(textsOf({ messages: await read(from, cold, 1) } as never)).toEqual(['{"n":1}']);
  });

  it("takes no more than it may hold, and goes on as it is emptied", async () => {
    const { topic, name } = await newSubscription();
    const cold = coldStore();
    const from = source(name, { ...cold, maxOutstanding: 10 });
    await from.open(cold.resume);
    await publish(topic, some(0, 60));
    const signal = AbortSignal.timeout(60_000);
    const first = (await from.fetch(100, signal))!;
    expect(first.messages.length).toBeLessThanOrEqual(10);
    await cold.commit(first);
    await from.checkpoint(first.partition, first.messages.at(-1)!.offset);
    const seen = [
      ...textsOf(first),
      ...(await read(from, cold, 60 - first.messages.length)).map((m) => Buffer.from(m.value as Uint8Array).toString()),
    ];
    expect(seen.sort()).toEqual(some(0, 60).sort());
  });

  it("counts in a partition of its own beside other processes, and in another one when it lost that", async () => {
    const { topic, name } = await newSubscription();
    const store = memoryLeases(() => {});
    const cold = coldStore();
    const offsets = new Map<string, number>();
    const resume = async (partition: string): Promise<{ offset: number; cursor: null }> => ({
      offset: offsets.get(partition) ?? -1,
      cursor: null,
    });
    const of = (holder: string): MessageSource =>
      source(name, {
        idempotencyLog: cold.idempotencyLog,
        keepMs: 20,
        partition: leasedPartition({ leases: store, source: "x", holder, prefix: "pubsub:" }),
      });
    const [first, second] = [of("a"), of("b")];
    await first!.open(resume);
    await publish(topic, some(0, 30));
    const signal = AbortSignal.timeout(60_000);
    const lost = (await first!.fetch(30, signal))!;
    expect(lost.partition).toBe("pubsub:0");
    // Others have its partition now: what it took there was not committed, and comes again elsewhere.
    await store.release("x", "pubsub:0", "a");
    await store.claim("x", "pubsub:0", "other", 60_000);
    const seen: string[] = [];
    while (seen.length < 30) {
      const batch = (await first!.fetch(30, signal))!;
      if (batch.partition === "pubsub:0") {
        first!.lost!(batch.partition);
        continue;
      }
      expect(batch.partition).toBe("pubsub:1");
      expect(batch.messages[0]!.offset).toBe(seen.length);
      seen.push(...textsOf(batch));
      await cold.commit(batch);
      offsets.set(batch.partition, batch.messages.at(-1)!.offset);
      await first!.checkpoint(batch.partition, batch.messages.at(-1)!.offset);
    }
    expect(seen.sort()).toEqual(some(0, 30).sort());
    await first!.close();
    await second!.open(resume);
    await publish(topic, some(100, 5));
    const next = (await second!.fetch(30, signal))!;
    expect([next.partition, next.messages[0]!.offset]).toEqual(["pubsub:1", 30]);
  });

  it("says that there is no such subscription, or nobody there", async () => {
    const cold = coldStore();
    await expect(source("nothing").open(cold.resume)).rejects.toMatchObject({
      code: "PUBSUB_SUBSCRIPTION_UNKNOWN",
      kind: "user",
    });
  });
});
