import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Admin, Producer } from "@platformatic/kafka";
import { type FaultStores, openFaultStores } from "../integration/orders/fault-stores.ts";
import { kafkaCluster } from "../integration/services/kafka-cluster.ts";
import { startPostgres } from "../integration/services/postgres-server.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { createByteWriter } from "../src/feature_engineering/encoding/byte-writer.ts";
import { encodeEntityKey } from "../src/feature_engineering/encoding/entity-key.ts";
import { collectDeclarations } from "../src/feature_engineering/plan/collect-declarations.ts";
import { decodeEntityState } from "../src/feature_engineering/windows/entity-state.ts";
import { createViewReading, readFeatures } from "../src/feature_engineering/windows/read-features.ts";
import { createViewRuntime } from "../src/feature_store/view-runtime.ts";
import { count, entity, featureView, kafka, latest, streamSource, sum, t } from "../src/index.ts";
import { createPipeline } from "../src/pipeline/pipeline.ts";

const PER_SECOND = 5_000;
/** How often events are sent, milliseconds. */
const EVERY_MS = 10;
const PARTITIONS = 8;
const CARDS = 10_000;

const columns = { n: t.int32(), card_id: t.string(), amount: t.float64(), at: t.timestamp() };
const payments = (topic: string) =>
  streamSource("payments", { stream: kafka({ topic }), eventTime: "at", lateness: "1m", schema: columns });
const card = entity("card", { card_id: t.string() });

/**
 * Freshness: from the moment before an event is produced to the moment at which a read of the hot store first shows it,
 * at 5 thousand events a second; one event of each send is looked for. Argument: seconds, default 30; `embedded` or
 * `servers` alone.
 */
export async function run(args: readonly string[]): Promise<void> {
  const seconds = Number(args.find((arg) => Number(arg) > 0) ?? 30);
  const cluster = await kafkaCluster();
  const folder = await mkdtemp(join(tmpdir(), "millrace-freshness-"));
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  try {
    for (const where of ["embedded", "servers"].filter(
      (one) => args.includes(one) || !args.some((a) => a === "embedded" || a === "servers"),
    )) {
      const stores: FaultStores =
        where === "embedded"
          ? { folder }
          : {
              redis: `redis://127.0.0.1:${redis.port}`,
              postgres: await postgres.createDatabase(),
              keyPrefix: "fresh:",
            };
      const delays = (await measure(cluster.brokers, `fresh-${where}`, stores, seconds)).sort((a, b) => a - b);
      const at = (share: number): string => `${delays[Math.floor((delays.length - 1) * share)]!.toFixed(0)} ms`;
      process.stdout.write(
        `${where}: ${delays.length} events of ${(seconds * PER_SECOND).toLocaleString("en")} looked for, P50 ${at(0.5)}, P99 ${at(0.99)} (aim: under 250 ms), most ${at(1)}\n`,
      );
    }
  } finally {
    await Promise.all([cluster.close(), redis.remove(), postgres.remove()]);
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(
  brokers: readonly string[],
  topic: string,
  where: FaultStores,
  seconds: number,
): Promise<number[]> {
  const client = { clientId: "freshness", bootstrapBrokers: [...brokers] };
  const admin = new Admin(client);
  await admin.createTopics({ topics: [topic], partitions: PARTITIONS, replicas: 1 });
  await admin.close();
  const source = payments(topic);
  const view = featureView("cards", {
    source,
    entity: card,
    features: { n: count().over(["1h", "24h"]), spend: sum(source.amount).over("1h"), last: latest(source.n) },
  });
  const declared = collectDeclarations({ source, view });
  const stores = await openFaultStores(where);
  const pipeline = createPipeline({ ...declared, ...stores, connections: { kafka: { default: { brokers } } } });
  await pipeline.recover();
  await pipeline.start();
  const { layout, keyspace } = createViewRuntime(declared.views[0]!);
  const lastIndex = declared.views[0]!.features.findIndex((feature) => feature.name === "last");
  const reading = createViewReading(layout);
  async function shows(cardId: string): Promise<number | null> {
    const out = createByteWriter();
    encodeEntityKey(layout.keyTypes, [cardId], out);
    const [stored] = await stores.online.read([{ keyspace, key: out.finish() }]);
    if (!stored) return null;
    readFeatures(layout, decodeEntityState(layout, stored.bytes), Date.now() + 1, reading);
    return reading.values[lastIndex] as number | null;
  }
  const producer = new Producer(client);
  const delays: number[] = [];
  const waiting = new Map<string, { readonly n: number; readonly sentAt: number }>();
  let next = 0;
  let sending = true;
  const looking = (async () => {
    while (sending || waiting.size > 0) {
      for (const [cardId, { n, sentAt }] of [...waiting]) {
        if (((await shows(cardId)) ?? -1) < n) continue;
        delays.push(performance.now() - sentAt);
        waiting.delete(cardId);
      }
      await pause(1);
    }
  })();
  const size = (PER_SECOND * EVERY_MS) / 1_000;
  async function send(): Promise<void> {
    const sentAt = performance.now();
    const messages = Array.from({ length: size }, () => {
      const n = next++;
      const event = { n, card_id: `c${n % CARDS}`, amount: 1, at: Date.now() };
      return {
        topic,
        partition: n % PARTITIONS,
        value: Buffer.from(JSON.stringify({ ...event, at: new Date(event.at) })),
      };
    });
    waiting.set(`c${(next - 1) % CARDS}`, { n: next - 1, sentAt });
    await producer.send({ messages: messages as never, acks: 1 });
  }
  // Joining the group is no part of it.
  await send();
  while (waiting.size > 0) await pause(10);
  delays.length = 0;
  const started = performance.now();
  for (let i = 0; i < (seconds * 1_000) / EVERY_MS; i++) {
    await pause(Math.max(0, started + i * EVERY_MS - performance.now()));
    void send();
  }
  sending = false;
  await looking;
  await producer.close();
  await pipeline.close();
  await stores.close();
  return delays;
}
