import { subscribe } from "node:diagnostics_channel";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { parseArgs } from "node:util";
import { type PostgresServer, startPostgres } from "../integration/services/postgres-server.ts";
import { type RedisServer, startRedis } from "../integration/services/redis-server.ts";
import { Meta } from "../src/definitions/meta.ts";
import { ENGINE_BATCH_CHANNEL, type EngineBatchEvent } from "../src/feature_engineering/engine/channels.ts";
import { collectDeclarations } from "../src/feature_engineering/plan/collect-declarations.ts";
import { duckdbOfflineStore } from "../src/feature_store/offline/duckdb-offline-store.ts";
import { postgresOfflineStore } from "../src/feature_store/offline/postgres-offline-store.ts";
import { lmdbOnlineStore } from "../src/feature_store/online/lmdb-online-store.ts";
import { memoryOnlineStore } from "../src/feature_store/online/memory-online-store.ts";
import type { OnlineStore } from "../src/feature_store/online/online-store.ts";
import { redisOnlineStore } from "../src/feature_store/online/redis-online-store.ts";
import { fileReplay, streamSource } from "../src/index.ts";
import { createPipeline } from "../src/pipeline/pipeline.ts";
import { cardView, deviceView, merchantView, paymentLine, paymentStream, schema } from "./payments.ts";

const EVENTS = 500_000;

/**
 * End to end: JSON lines of about 200 bytes from a file, decoded and validated, committed to the cold store, folded into
 * three views of four aggregations and three windows, written to the hot store. One thread of ours.
 *
 * `[--cold duckdb|postgres] [--hot lmdb|memory|redis] [entities…]`; default the embedded stores.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { cold: { type: "string", default: "duckdb" }, hot: { type: "string", default: "lmdb" } },
  });
  process.stdout.write(`cold store ${values.cold}, hot store ${values.hot}\n`);
  const servers = {
    postgres:
      values.cold === "postgres"
        ? await startPostgres({ settings: { shared_buffers: "1GB", max_wal_size: "8GB" } })
        : null,
    redis: values.hot === "redis" ? await startRedis() : null,
  };
  try {
    for (const entities of positionals.length > 0 ? positionals.map(Number) : [1_000, 10_000, 100_000]) {
      await measure(entities, servers, values.hot);
    }
  } finally {
    await servers.postgres?.remove();
    await servers.redis?.remove();
  }
}

interface Servers {
  readonly postgres: PostgresServer | null;
  readonly redis: RedisServer | null;
}

async function measure(entities: number, { postgres, redis }: Servers, hot: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-bench-"));
  try {
    const path = join(folder, "payments.jsonl");
    const bytes = await writeEvents(path, entities);
    const replayed = streamSource("payments", {
      stream: fileReplay({ path }),
      clock: "stream",
      eventTime: "at",
      lateness: "1m",
      schema,
    });
    const views = [cardView, merchantView, deviceView].map((view) => view[Meta]);
    const declarations = collectDeclarations({ replayed });
    const embedded = (): ReturnType<typeof lmdbOnlineStore> =>
      hot === "memory" ? Promise.resolve(memoryOnlineStore()) : lmdbOnlineStore({ path: join(folder, "hot") });
    const online =
      redis === null
        ? await embedded()
        : await redisOnlineStore({ url: `redis://${redis.host}:${redis.port}`, keyPrefix: `bench-${entities}:` });
    const offline =
      postgres === null
        ? await duckdbOfflineStore({ path: join(folder, "cold.duckdb") })
        : await postgresOfflineStore({ url: postgres.url(), schema: `bench_${entities}` });
    const spent = { commit: 0, fold: 0, write: 0, writes: 0 };
    const counted: OnlineStore = {
      ...online,
      async compareAndSet(writes, session) {
        const since = performance.now();
        const done = await online.compareAndSet(writes, session);
        spent.writes += writes.length;
        spent.write += (performance.now() - since) / 1_000;
        return done;
      },
    };
    const pipeline = createPipeline({
      sources: declarations.sources,
      views,
      online: counted,
      offline,
    });
    subscribe(ENGINE_BATCH_CHANNEL, (message) => {
      const batch = message as EngineBatchEvent;
      spent.commit += batch.commitSeconds;
      spent.fold += batch.foldSeconds;
    });
    await pipeline.recover();
    const cpu = process.cpuUsage();
    const started = performance.now();
    await pipeline.start();
    await pipeline.finished();
    // Until everything is written: during a backlog values are held back.
    await pipeline.drain();
    const seconds = (performance.now() - started) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    process.stdout.write(
      `${entities.toLocaleString("en")} entities per view, ${Math.round(bytes / EVENTS)} bytes per event: ` +
        `${Math.round(EVENTS / seconds).toLocaleString("en")} events/s (aim: 50,000), ` +
        `${((user + system) / EVENTS).toFixed(1)} µs CPU per event, ${(spent.writes / EVENTS).toFixed(2)} hot writes per event, ` +
        `commit ${spent.commit.toFixed(1)} s, fold ${spent.fold.toFixed(1)} s, write ${spent.write.toFixed(1)} s of ${seconds.toFixed(1)} s, ` +
        `RSS ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB\n`,
    );
    await pipeline.close();
    await online.close();
    await offline.close();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeEvents(path: string, entities: number): Promise<number> {
  const out = createWriteStream(path);
  let bytes = 0;
  for (const row of paymentStream(EVENTS, entities)) {
    const line = paymentLine(row);
    bytes += line.length;
    out.write(line);
  }
  out.end();
  await finished(out);
  return bytes;
}
