import { Meta } from "../src/definitions/meta.ts";
import type { FeatureSink } from "../src/feature_engineering/engine/feature-sink.ts";
import { createMessageLogger } from "../src/feature_engineering/engine/message-logger.ts";
import { createViewFolder } from "../src/feature_engineering/engine/view-folder.ts";
import { createViewRuntime } from "../src/feature_store/view-runtime.ts";
import { paymentRows, payments, views } from "./payments.ts";

const EVENTS = 1_000_000;
const ENTITIES = 1_000;
const nowhere: FeatureSink = {
  capabilities: { expires: false },
  read: async (keys) => keys.map(() => null),
  compareAndSet: async (writes) => writes.map(() => true),
  durable: async () => {},
  readMeta: async (names) => names.map(() => null),
  writeMeta: async () => {},
  dropKeyspace: async () => {},
  shards: 1,
  shardOf: () => 0,
  openSession: async () => 0,
  checkSession: async () => {},
  mark: async () => {},
  marks: async () => [new Map()],
};

/** The fold in memory: decoded events into the tiles of three views of four aggregations and three windows. */
export async function run(): Promise<void> {
  const log = createMessageLogger(payments[Meta]);
  const events = paymentRows(EVENTS, ENTITIES).map((payload, offset) =>
    log(
      {
        source: "payments",
        partition: "0",
        offset,
        key: null,
        payload,
        eventTime: payload[6] as number,
        ingestedAt: 0,
        headers: {},
      },
      0,
    ),
  );
  const rates: number[] = [];
  for (let round = 0; round < 5; round++) {
    const folders = views.map((view) =>
      createViewFolder({
        ...createViewRuntime(view),
        sink: nowhere,
        session: () => 0,
        cacheCapacity: 65_536,
        writeBatch: 1_000,
      }),
    );
    const started = performance.now();
    for (let from = 0; from < events.length; from += 8_000) {
      const slice = events.slice(from, from + 8_000);
      const clocks = Float64Array.from(slice, (event) => event.eventTime + 1);
      for (const folder of folders) await folder.fold(slice, clocks);
    }
    rates.push((EVENTS / (performance.now() - started)) * 1_000);
  }
  rates.sort((a, b) => a - b);
  const [least, median, most] = [rates[0]!, rates[2]!, rates[4]!].map((rate) => Math.round(rate).toLocaleString("en"));
  process.stdout.write(`fold in memory: ${median} events/s and core (${least} to ${most}; aim: 300,000)\n`);
}
