import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRedis } from "../integration/services/redis-server.ts";
import { Meta } from "../src/definitions/meta.ts";
import { createFeatureStore } from "../src/feature_store/feature-store.ts";
import { lmdbOnlineStore } from "../src/feature_store/online/lmdb-online-store.ts";
import type { OnlineStore } from "../src/feature_store/online/online-store.ts";
import { redisOnlineStore } from "../src/feature_store/online/redis-online-store.ts";
import { COPIES, ENTITIES, fill, service } from "./online-read.ts";
import { views } from "./payments.ts";

/** A whole online read of three views, 20 features, from one process without HTTP: at 1 and 64 in flight, LMDB and Redis. */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-bench-"));
  const server = await startRedis();
  try {
    await measure("LMDB", await lmdbOnlineStore({ path: join(folder, "hot") }));
    const redis = await redisOnlineStore({ url: `redis://127.0.0.1:${server.port}` });
    await measure(`Redis ${server.version}`, redis);
  } finally {
    await server.remove();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(name: string, online: OnlineStore): Promise<void> {
  const { clock, bytes } = await fill(online);
  process.stdout.write(`${name}, values of ${Math.round(bytes).toLocaleString("en")} bytes\n`);
  const store = createFeatureStore({ views, services: [service[Meta]], online, offline: null, now: () => clock });
  for (const rows of [1, 100]) {
    for (const inFlight of [1, 64]) {
      const reads = Math.round(40_000 / rows);
      await readAll(store, rows, inFlight, clock, Math.round(reads / 4));
      const started = performance.now();
      const times = await readAll(store, rows, inFlight, clock, reads);
      const seconds = (performance.now() - started) / 1_000;
      times.sort();
      const at = (q: number): string => times[Math.floor(q * (times.length - 1))]!.toFixed(3);
      process.stdout.write(
        `  ${rows} × 20 features, ${inFlight} in flight: ${Math.round(reads / seconds).toLocaleString("en")} reads/s, P50 ${at(0.5)} P99 ${at(0.99)} ms` +
          `${rows === 1 && inFlight === 1 ? "   (aim: P99 under 2 ms)" : ""}\n`,
      );
    }
  }
  await online.close();
}

async function readAll(
  store: ReturnType<typeof createFeatureStore>,
  rows: number,
  inFlight: number,
  clock: number,
  reads: number,
): Promise<Float64Array> {
  const times = new Float64Array(reads);
  let next = 0;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (next < reads) {
        const i = next++;
        const asked = {
          rows: Array.from({ length: rows }, (_, row) => {
            const entity = `${((i * 31 + row) * 7_919) % ENTITIES}-${(i + row * 13) % COPIES}`;
            return { card_id: `card-${entity}`, merchant_id: `merchant-${entity}`, device_id: `device-${entity}` };
          }),
          asOf: clock,
        };
        const started = performance.now();
        await store.getOnlineFeatures("read_20", asked);
        times[i] = performance.now() - started;
      }
    }),
  );
  return times;
}
