import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FeatureServiceMeta } from "../src/definitions/feature-service.ts";
import { Meta } from "../src/definitions/meta.ts";
import type { Value } from "../src/definitions/value.ts";
import { createByteReader } from "../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../src/feature_engineering/encoding/byte-writer.ts";
import { decodeEntityKey, encodeEntityKey } from "../src/feature_engineering/encoding/entity-key.ts";
import { createMessageLogger } from "../src/feature_engineering/engine/message-logger.ts";
import { createViewFolder } from "../src/feature_engineering/engine/view-folder.ts";
import { createFeatureStore } from "../src/feature_store/feature-store.ts";
import { lmdbOnlineStore } from "../src/feature_store/online/lmdb-online-store.ts";
import type { OnlineStore } from "../src/feature_store/online/online-store.ts";
import { createViewRuntime } from "../src/feature_store/view-runtime.ts";
import { featureService } from "../src/index.ts";
import { cardView, deviceView, merchantView, paymentRows, payments, views } from "./payments.ts";

const EVENTS = 600_000;
export const ENTITIES = 1_000;
/** Each value is stored under so many keys, so that reads of all of them find little in any cache. */
export const COPIES = 20;
const DAYS = 7;

/** 20 features of three views: windows of an hour, a day and a week. */
export const service: { readonly [Meta]: FeatureServiceMeta } = featureService("read_20", {
  features: {
    c1: cardView.n_1h,
    c2: cardView.n_24h,
    c3: cardView.n_7d,
    c4: cardView.spend_1h,
    c5: cardView.spend_24h,
    c6: cardView.amount_mean_7d,
    c7: cardView.largest_24h,
    m1: merchantView.n_1h,
    m2: merchantView.n_24h,
    m3: merchantView.n_7d,
    m4: merchantView.spend_1h,
    m5: merchantView.spend_24h,
    m6: merchantView.amount_mean_7d,
    m7: merchantView.largest_24h,
    d1: deviceView.n_1h,
    d2: deviceView.n_24h,
    d3: deviceView.n_7d,
    d4: deviceView.spend_1h,
    d5: deviceView.spend_24h,
    d6: deviceView.amount_mean_7d,
  },
});

/** A whole online read from LMDB, without HTTP: 1 and 100 rows of 20 features; few entities again and again, and many. */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-bench-"));
  try {
    const online = await lmdbOnlineStore({ path: join(folder, "hot") });
    const { clock, bytes } = await fill(online);
    process.stdout.write(
      `values of ${Math.round(bytes).toLocaleString("en")} bytes: a week of ${EVENTS / ENTITIES} events\n`,
    );
    const store = createFeatureStore({
      views,
      services: [service[Meta]],
      online,
      offline: null,
      now: () => clock,
    });
    for (const copies of [1, COPIES]) {
      for (const rows of [1, 100]) {
        const request = (i: number) => ({
          rows: Array.from({ length: rows }, (_, row) => {
            const entity = `${((i * 31 + row) * 7_919) % ENTITIES}-${(i + row * 13) % copies}`;
            return { card_id: `card-${entity}`, merchant_id: `merchant-${entity}`, device_id: `device-${entity}` };
          }),
          asOf: clock,
        });
        const reads = 30_000 / rows;
        for (let i = 0; i < reads / 4; i++) await store.getOnlineFeatures("read_20", request(i));
        const times = new Float64Array(reads);
        for (let i = 0; i < reads; i++) {
          const asked = request(i * 3);
          const started = performance.now();
          await store.getOnlineFeatures("read_20", asked);
          times[i] = performance.now() - started;
        }
        times.sort();
        const mean = times.reduce((a, b) => a + b, 0) / reads;
        process.stdout.write(
          `${rows} row${rows === 1 ? "" : "s"} of 20 features, ${(ENTITIES * copies).toLocaleString("en")} entities: ` +
            `${Math.round(1_000 / mean).toLocaleString("en")} reads/s, P50 ${at(times, 0.5)} P99 ${at(times, 0.99)} ms` +
            `${rows === 1 ? "   (aim: P99 under 2 ms)" : ""}\n`,
        );
      }
    }
    await online.close();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function at(times: Float64Array, q: number): string {
  return times[Math.floor(q * (times.length - 1))]!.toFixed(4);
}

export async function fill(online: OnlineStore): Promise<{ clock: number; bytes: number }> {
  const log = createMessageLogger(payments[Meta]);
  const step = (DAYS * 86_400_000) / EVENTS;
  const start = Date.UTC(2026, 0, 1);
  const folders = views.map((view) =>
    createViewFolder({ ...createViewRuntime(view), sink: online, cacheCapacity: 65_536, writeBatch: 8_000 }),
  );
  const rows: Value[][] = paymentRows(EVENTS, ENTITIES);
  let clock = 0;
  for (let from = 0; from < rows.length; from += 10_000) {
    const events = rows.slice(from, from + 10_000).map((row, i) => {
      const eventTime = start + Math.floor((from + i) * step);
      const key = (index: number): string => `${row[index]}-0`;
      const payload = [row[0]!, key(1), key(2), key(3), row[4]!, row[5]!, eventTime];
      return log(
        {
          source: "payments",
          partition: "0",
          offset: from + i,
          key: null,
          payload,
          eventTime,
          ingestedAt: eventTime,
          headers: {},
        },
        0,
      );
    });
    clock = events.at(-1)!.eventTime + 1;
    const clocks = Float64Array.from(events, (event) => event.eventTime + 1);
    for (const folder of folders) await folder.fold(events, clocks);
  }
  for (const folder of folders) await folder.write(clock, () => Number.POSITIVE_INFINITY);
  let bytes = 0;
  let values = 0;
  const out = createByteWriter();
  for (const [index, view] of views.entries()) {
    const { keyspace, layout } = createViewRuntime(view);
    for await (const batch of online.scan(keyspace)) {
      const copies = batch.flatMap(({ key, value }) => {
        bytes += value.bytes.length;
        values++;
        const [id] = decodeEntityKey(createByteReader(key)) as [string];
        return Array.from({ length: COPIES - 1 }, (_, i) => {
          out.reset();
          encodeEntityKey(layout.keyTypes, [id.replace(/-0$/, `-${i + 1}`)], out);
          return { keyspace, key: out.finish(), expectedRevision: 0, bytes: value.bytes };
        });
      });
      if (copies.length > 0) await online.compareAndSet(copies);
      if (index < 0 || values >= (index + 1) * ENTITIES) break;
    }
  }
  return { clock, bytes: bytes / values };
}
