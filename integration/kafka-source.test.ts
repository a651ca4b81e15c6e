import { setTimeout as pause } from "node:timers/promises";
import { Admin, Producer } from "@platformatic/kafka";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MessageSource, ResumePosition } from "../src/ingestion/message-source.ts";
import type { KafkaSourceOptions } from "../src/ingestion/sources/kafka-options.ts";
import { kafkaSource } from "../src/ingestion/sources/kafka-source.ts";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";

let cluster: KafkaCluster;
let admin: Admin;
let topics = 0;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  cluster = await kafkaCluster();
  admin = new Admin({ clientId: "tests", bootstrapBrokers: [...cluster.brokers] });
});
afterAll(async () => {
  for (const close of closing) await close().catch(() => {});
  await admin?.close();
  await cluster?.close();
});

async function newTopic(partitions = 1): Promise<string> {
  const topic = `events-${topics++}`;
  await admin.createTopics({ topics: [topic], partitions, replicas: 1 });
  return topic;
}

function producer(options: object = {}): Producer {
  const made = new Producer({
    clientId: "tests",
    bootstrapBrokers: [...cluster.brokers],
    idempotent: true,
    ...options,
  });
  closing.push(() => Promise.resolve(made.close(true)));
  return made;
}

function source(topic: string, options: Partial<KafkaSourceOptions> = {}): MessageSource {
  const made = kafkaSource({ brokers: cluster.brokers, topics: [topic], groupId: `g-${topic}`, ...options });
  closing.push(() => made.close());
  return made;
}

interface Seen {
  readonly texts: string[];
  readonly offsets: Map<string, number[]>;
}

/** Reads until `count` messages came. */
async function read(from: MessageSource, count: number): Promise<Seen> {
  const signal = AbortSignal.timeout(30_000);
  const texts: string[] = [];
  const offsets = new Map<string, number[]>();
  while (texts.length < count) {
    const batch = await from.fetch(100, signal);
    for (const message of batch!.messages) {
      texts.push(Buffer.from(message.value as Uint8Array).toString("utf8"));
      offsets.set(batch!.partition, [...(offsets.get(batch!.partition) ?? []), message.offset]);
    }
    await from.checkpoint(batch!.partition, batch!.messages.at(-1)!.offset);
  }
  return { texts, offsets };
}

/** Until it works: brokers take a moment to know of what was just made. */
async function repeated<Result>(action: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (signal.aborted) throw error;
      await pause(50);
    }
  }
}

const messages = (topic: string, from: number, count: number, partition = 0) =>
  Array.from({ length: count }, (_, i) => ({
    topic,
    partition,
    key: Buffer.from(`k${from + i}`),
    value: Buffer.from(`m${from + i}`),
    headers: new Map([[Buffer.from("trace"), Buffer.from(`t${from + i}`)]]),
  }));

for (const groupProtocol of ["classic", "consumer"] as const) {
  describe(`a Kafka source in a ${groupProtocol} group`, () => {
    it("gives all messages of all partitions, in order, from where the cold store is", async () => {
      const topic = await newTopic(3);
      const out = producer();
      for (let p = 0; p < 3; p++) await out.send({ messages: messages(topic, p * 1_000, 500, p) });
      const from = source(topic, { groupProtocol });
      await from.open(async (partition) => ({ offset: partition === `${topic}:1` ? 99 : -1, cursor: null }));
      const { texts, offsets } = await read(from, 1_400);
      expect(new Set(texts).size).toBe(1_400);
      expect(offsets.get(`${topic}:0`)).toEqual(Array.from({ length: 500 }, (_, i) => i));
      expect(offsets.get(`${topic}:1`)).toEqual(Array.from({ length: 400 }, (_, i) => 100 + i));
      const lag = await from.lag();
      expect(lag.map(({ partition, messages: behind }) => [partition, behind]).sort()).toEqual(
        [0, 1, 2].map((p) => [`${topic}:${p}`, 0]),
      );
      await out.send({ messages: messages(topic, 5_000, 10, 2) });
      expect((await read(from, 10)).offsets.get(`${topic}:2`)).toEqual(Array.from({ length: 10 }, (_, i) => 500 + i));
      await from.close();
    });

    it("shares the partitions with members that come and go", async () => {
      const topic = await newTopic(4);
      const committed = new Map<string, number>();
      const resume: ResumePosition = async (partition) => ({ offset: committed.get(partition) ?? -1, cursor: null });
      const seen: string[] = [];
      const out = producer();
      const run = async (from: MessageSource, until: AbortSignal): Promise<void> => {
        try {
          while (true) {
            const batch = await from.fetch(50, until);
            const known = committed.get(batch!.partition) ?? -1;
            for (const message of batch!.messages) {
              if (message.offset > known) seen.push(Buffer.from(message.value as Uint8Array).toString("utf8"));
            }
            committed.set(batch!.partition, Math.max(known, batch!.messages.at(-1)!.offset));
            await from.checkpoint(batch!.partition, batch!.messages.at(-1)!.offset);
          }
        } catch (error) {
          if (!until.aborted) throw error;
        }
      };
      const stops = [new AbortController(), new AbortController()];
      const members = stops.map(() => source(topic, { groupProtocol }));
      await members[0]!.open(resume);
      const runs = [run(members[0]!, stops[0]!.signal)];
      for (let p = 0; p < 4; p++) await out.send({ messages: messages(topic, p * 1_000, 300, p) });
      await members[1]!.open(resume);
      runs.push(run(members[1]!, stops[1]!.signal));
      await expect.poll(async () => (await members[1]!.lag()).length, { timeout: 60_000 }).toBe(2);
      for (let p = 0; p < 4; p++) await out.send({ messages: messages(topic, 10_000 + p * 1_000, 300, p) });
      await expect.poll(() => new Set(seen).size, { timeout: 60_000 }).toBe(2_400);
      stops[0]!.abort();
      await runs[0];
      await members[0]!.close();
      for (let p = 0; p < 4; p++) await out.send({ messages: messages(topic, 20_000 + p * 1_000, 100, p) });
      await expect.poll(() => new Set(seen).size, { timeout: 60_000 }).toBe(2_800);
      stops[1]!.abort();
      await runs[1];
      expect(seen.length).toBe(2_800);
      await members[1]!.close();
    });
  });
}

describe("a Kafka source", () => {
  it("gives what transactions committed and nothing that they took back", async () => {
    const topic = await newTopic();
    const out = producer({ transactionalId: "tests-1", idempotent: true });
    const plain = producer();
    for (let round = 0; round < 6; round++) {
      const transaction = await out.beginTransaction();
      await transaction.send({ messages: messages(topic, round * 100, 20) });
      await plain.send({ messages: messages(topic, 10_000 + round * 100, 5) });
      await transaction.send({ messages: messages(topic, round * 100 + 20, 20) });
      if (round % 2 === 0) await transaction.commit();
      else await transaction.abort();
    }
    const from = source(topic, { maxPartitionBytes: 600 });
    await from.open(async () => ({ offset: -1, cursor: null }));
    const { texts } = await read(from, 3 * 40 + 6 * 5);
    const rolledBack = texts.filter(
      (text) => Number(text.slice(1)) < 10_000 && Math.floor(Number(text.slice(1)) / 100) % 2 === 1,
    );
    expect(rolledBack).toEqual([]);
    expect(new Set(texts).size).toBe(150);
    // The record that ends the last transaction is no message, and no lag either.
    const behind = async (): Promise<number | null> => {
      await from.fetch(1, AbortSignal.timeout(300)).catch(() => {});
      return (await from.lag())[0]!.messages;
    };
    await expect.poll(behind, { timeout: 60_000 }).toBe(0);
  });

  it("holds no more ready than it may while its reader is slow, and gives everything all the same", async () => {
    const topic = await newTopic();
    const out = producer();
    for (let i = 0; i < 40; i++) await out.send({ messages: messages(topic, i * 20, 20) });
    const from = source(topic, { readyBytes: 300, maxPartitionBytes: 600 });
    await from.open(async () => ({ offset: -1, cursor: null }));
    const signal = AbortSignal.timeout(30_000);
    const seen: string[] = [];
    const take = async (most: number): Promise<number> => {
      const { messages: found } = (await from.fetch(most, signal))!;
      for (const { value } of found) seen.push(Buffer.from(value as Uint8Array).toString());
      return found.length;
    };
    // A slow reader: one at a time, and each call lets the source fetch.
    while (seen.length < 200) {
      await take(1);
      await pause(10);
    }
    expect(await take(10_000)).toBeLessThanOrEqual(60);
    while (seen.length < 800) await take(10_000);
    expect(seen).toEqual(Array.from({ length: 800 }, (_, i) => `m${i}`));
  });

  it("reads every compression, keys, headers and tombstones", async () => {
    const topic = await newTopic();
    const out = producer();
    const kinds = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
    for (const [i, compression] of kinds.entries()) {
      await out.send({ messages: messages(topic, i * 100, 100), compression });
    }
    await out.send({ messages: [{ topic, partition: 0, key: Buffer.from("gone") } as never] });
    const from = source(topic);
    await from.open(async () => ({ offset: -1, cursor: null }));
    const signal = AbortSignal.timeout(30_000);
    const all = [];
    while (all.length < 501) all.push(...(await from.fetch(1_000, signal))!.messages);
    expect(all.slice(0, 500).map((m) => Buffer.from(m.value as Uint8Array).toString())).toEqual(
      kinds.flatMap((_, i) => Array.from({ length: 100 }, (_x, j) => `m${i * 100 + j}`)),
    );
    expect(all[7]).toMatchObject({ headers: { trace: "t7" } });
    expect(Buffer.from(all[7]!.key!).toString()).toBe("k7");
    expect(Math.abs(all[7]!.ingestedAt! - Date.now())).toBeLessThan(60_000);
    expect(all[500]!.value).toBeNull();
  });

  it("starts at the end or at a moment if it is told so, and remembers where that was", async () => {
    const topic = await newTopic();
    const out = producer();
    await out.send({ messages: messages(topic, 0, 10) });
    const moment = Date.now() + 50;
    await expect.poll(() => Date.now()).toBeGreaterThan(moment);
    const latest = source(topic, { start: "latest", groupId: "late" });
    await latest.open(async () => ({ offset: -1, cursor: null }));
    await expect
      .poll(
        async () => {
          await latest.fetch(1, AbortSignal.timeout(50)).catch(() => {});
          return (await latest.lag()).length;
        },
        { timeout: 60_000 },
      )
      .toBe(1);
    await latest.close();
    await out.send({ messages: messages(topic, 100, 10) });
    const again = source(topic, { start: "latest", groupId: "late" });
    await again.open(async () => ({ offset: -1, cursor: null }));
    expect((await read(again, 10)).texts[0]).toBe("m100");
    const since = source(topic, { start: moment, groupId: "since" });
    await since.open(async () => ({ offset: -1, cursor: null }));
    expect((await read(since, 10)).texts[0]).toBe("m100");
  });

  it("says so when its topic is deleted", async () => {
    const topic = await newTopic();
    const out = producer();
    await out.send({ messages: messages(topic, 0, 10) });
    const from = source(topic);
    await from.open(async () => ({ offset: -1, cursor: null }));
    await read(from, 10);
    await admin.deleteTopics({ topics: [topic] });
    const signal = AbortSignal.timeout(60_000);
    const error = await from.fetch(10, signal).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ kind: "operational", code: expect.stringMatching(/^KAFKA_/) });
  });

  it("stops where its topic was made anew, and passes over none of the new messages", async () => {
    const topic = await newTopic();
    const out = producer();
    await out.send({ messages: messages(topic, 0, 10) });
    const from = source(topic, { groupId: "remade" });
    await from.open(async () => ({ offset: -1, cursor: null }));
    await read(from, 10);
    await admin.deleteTopics({ topics: [topic] });
    const signal = AbortSignal.timeout(60_000);
    await repeated(() => admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 }), signal);
    const again = producer();
    await repeated(() => again.send({ messages: messages(topic, 0, 30) }), signal);
    const error = await repeated(
      () =>
        from.fetch(10, signal).then(
          (batch) => batch!.messages.map(({ offset }) => offset),
          (cause: { readonly kind?: string }) => {
            if (cause.kind === "operational") throw cause;
            return cause;
          },
        ),
      signal,
    );
    expect(error).toMatchObject({ code: "KAFKA_OFFSET_GONE", message: expect.stringContaining("made anew") });
  });

  it("says what is wrong: no such topic, nobody there", async () => {
    await expect(source("nothing").open(async () => ({ offset: -1, cursor: null }))).rejects.toMatchObject({
      code: "KAFKA_TOPIC_UNKNOWN",
    });
    const nobody = kafkaSource({ brokers: ["127.0.0.1:1"], topics: ["x"], groupId: "g" });
    await expect(nobody.open(async () => ({ offset: -1, cursor: null }))).rejects.toMatchObject({
      code: "KAFKA_UNAVAILABLE",
      kind: "operational",
    });
  });

  it("goes on when its brokers were away, also if the client gave its membership up meanwhile", async () => {
    const own = await kafkaCluster({ properties: { "group.min.session.timeout.ms": "1000" } });
    closing.push(() => own.close());
    const client = { clientId: "tests", bootstrapBrokers: [...own.brokers], retries: 20, retryDelay: 250 };
    const keeper = new Admin(client);
    await keeper.createTopics({ topics: ["away"], partitions: 2, replicas: 1 });
    await keeper.close();
    const from = kafkaSource({ brokers: own.brokers, topics: ["away"], groupId: "away", sessionTimeoutMs: 1_500 });
    closing.push(() => from.close());
    const committed = new Map<string, number>();
    await from.open(async (partition) => ({ offset: committed.get(partition) ?? -1, cursor: null }));
    const seen = new Set<string>();
    for (let round = 0; round < 3; round++) {
      const out = new Producer({ ...client, idempotent: true });
      for (const p of [0, 1]) await out.send({ messages: messages("away", round * 100 + p * 50, 20, p) });
      await out.close(true);
      const deadline = AbortSignal.timeout(90_000);
      while (seen.size < (round + 1) * 40) {
        deadline.throwIfAborted();
        // As the ingestion loop does: what is a dependency's trouble is tried again.
        const batch = await from.fetch(100, deadline).catch((error: { kind?: string }) => {
          if (error.kind !== "operational") throw error;
          return null;
        });
        for (const message of batch?.messages ?? []) {
          seen.add(Buffer.from(message.value as Uint8Array).toString());
          committed.set(batch!.partition, message.offset);
        }
      }
      await own.kill(0);
      await from.fetch(1, AbortSignal.timeout(3_000)).catch(() => {});
      await own.start(0);
    }
    expect(seen.size).toBe(120);
  });
});
