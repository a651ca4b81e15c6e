import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Meta } from "../src/definitions/meta.ts";
import type { LoggedEvent } from "../src/feature_engineering/engine/event-log.ts";
import type { FeatureSink } from "../src/feature_engineering/engine/feature-sink.ts";
import { createMessageLogger } from "../src/feature_engineering/engine/message-logger.ts";
import { createViewFolder } from "../src/feature_engineering/engine/view-folder.ts";
import { lmdbOnlineStore } from "../src/feature_store/online/lmdb-online-store.ts";
import { createViewRuntime } from "../src/feature_store/view-runtime.ts";
import { paymentRows, payments, views } from "./payments.ts";

const EVENTS = 1_000_000;
const ROUNDS = 5;
/** As the engine gets them from a backlog. */
const BATCH = 16_000;
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

/**
 * The fold in memory: decoded events into the tiles of three views of four aggregations and three windows. Then the
 * same with every changed value encoded, and written to LMDB, after each batch.
 */
export async function run(args: readonly string[] = []): Promise<void> {
  for (const entities of args.length > 0 ? args.map(Number) : [1_000, 10_000]) await measure(entities);
}

async function measure(entities: number): Promise<void> {
  const log = createMessageLogger(payments[Meta]);
  const events = paymentRows(EVENTS, entities).map((payload, offset) =>
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
  const fold = await rates(ROUNDS, events, nowhere, false);
  const encode = await rates(3, events, nowhere, true);
  const written: number[] = [];
  for (let round = 0; round < 3; round++) {
    const folder = await mkdtemp(join(tmpdir(), "millrace-bench-"));
    const online = await lmdbOnlineStore({ path: folder });
    written.push(...(await rates(1, events, online, true)));
    await online.close();
    await rm(folder, { recursive: true });
  }
  process.stdout.write(
    `${entities.toLocaleString("en")} entities a view: fold in memory ${spread(fold)} events/s and core (aim: 300,000); ` +
      `with encoding ${spread(encode)}; with LMDB ${spread(written.sort((a, b) => a - b))}\n`,
  );
}

async function rates(
  rounds: number,
  events: readonly LoggedEvent[],
  sink: FeatureSink,
  write: boolean,
): Promise<number[]> {
  const measured: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const folders = views.map((view) =>
      createViewFolder({ ...createViewRuntime(view), sink, cacheCapacity: 65_536, writeBatch: 8_000 }),
    );
    const started = process.cpuUsage();
    for (let from = 0; from < events.length; from += BATCH) {
      for (const folder of folders) {
        for (let part = from; part < Math.min(from + BATCH, events.length); part += 8_000) {
          const slice = events.slice(part, part + 8_000);
          await folder.fold(
            slice,
            Float64Array.from(slice, (event) => event.eventTime + 1),
          );
        }
        if (write) await folder.write(events[Math.min(from + BATCH, events.length) - 1]!.eventTime + 1, (_) => -1);
      }
    }
    const { user, system } = process.cpuUsage(started);
    measured.push(Math.round((EVENTS / (user + system)) * 1e6));
  }
  return measured.sort((a, b) => a - b);
}

/** The median, the least and the most. */
function spread(sorted: readonly number[]): string {
  const [least, median, most] = [0, sorted.length >> 1, sorted.length - 1].map((i) => sorted[i]!.toLocaleString("en"));
  return `${median} (${least} to ${most})`;
}
