import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { produceRows } from "../../integration/beam/produce-rows.ts";
import { kafkaCluster } from "../../integration/services/kafka-cluster.ts";
import { startPostgres } from "../../integration/services/postgres-server.ts";
import type { RedisServer } from "../../integration/services/redis-server.ts";
import { MillraceError } from "../../src/definitions/errors.ts";
import type { FeatureViewMeta } from "../../src/definitions/feature-view.ts";
import { Meta } from "../../src/definitions/meta.ts";
import type { BeamHost } from "../../src/feature_engineering/beam/beam-host.ts";
import { redisOnlineStore } from "../../src/feature_store/online/redis-online-store.ts";
import { createViewRuntime } from "../../src/feature_store/view-runtime.ts";

const PATH = (relative: string): string => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const DEADLINE_MS = 90_000;
const LOOK_MS = 20;
const FEATURES = `
import { count, entity, featureView, kafka, streamSource, t } from ${JSON.stringify(PATH("src/index.ts"))};
const card = entity("card", { card_id: t.string() });
export const clicks = streamSource("clicks", {
  stream: kafka({ topic: "clicks" }), eventTime: "at", clock: "stream", lateness: "1m",
  schema: { card_id: t.string(), at: t.timestamp() },
});
export const clicking = featureView("clicking", { source: clicks, entity: card, features: { n: count().over("1h") } });
`;

/** How long from the start of a program until the first value is in Redis. */
export interface FirstTile {
  /** Without the classes that the JVM kept when the host was built. */
  readonly coldSeconds: number;
  readonly warmSeconds: number;
}

/** From `millrace beam run` to the first tile in Redis, of an event that waits in Kafka; history goes to PostgreSQL. */
export async function measureFirstTile(host: BeamHost, redis: RedisServer): Promise<FirstTile> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-first-tile-"));
  const [postgres, kafka] = await Promise.all([startPostgres(), kafkaCluster()]);
  try {
    const features = join(folder, "features.ts");
    await writeFile(features, FEATURES);
    const config = { declarations: "./features.ts", logLevel: "error", beam: { sources: ["clicks"] } };
    await writeFile(join(folder, "millrace.config.ts"), `export default ${JSON.stringify(config)};\n`);
    const { clicking } = (await import(pathToFileURL(features).href)) as {
      clicking: { readonly [Meta]: FeatureViewMeta };
    };
    const at = Date.UTC(2026, 0, 1);
    const value = JSON.stringify({ card_id: "a", at: new Date(at) });
    await produceRows(kafka.brokers, "clicks", [{ value, arrival: at, partition: 0 }], 1);
    const seconds: number[] = [];
    for (const cache of [await withoutArchive(host, join(folder, "cache")), process.env.XDG_CACHE_HOME]) {
      redis.cli("flushall");
      await rm(join(folder, ".millrace"), { recursive: true, force: true });
      const env = {
        ...process.env,
        ...(cache === undefined ? {} : { XDG_CACHE_HOME: cache }),
        MILLRACE_REDIS_URL: `redis://127.0.0.1:${redis.port}`,
        MILLRACE_POSTGRES_URL: await postgres.createDatabase(),
        MILLRACE_KAFKA_BROKERS: kafka.brokers.join(","),
      };
      seconds.push(await untilFirst(folder, env, redis.port, createViewRuntime(clicking[Meta]).keyspace));
    }
    return { coldSeconds: seconds[0]!, warmSeconds: seconds[1]! };
  } finally {
    await Promise.all([postgres.remove(), kafka.close()]);
    await rm(folder, { recursive: true, force: true });
  }
}

async function untilFirst(cwd: string, env: NodeJS.ProcessEnv, port: number, keyspace: string): Promise<number> {
  const store = await redisOnlineStore({ url: `redis://127.0.0.1:${port}` });
  const started = performance.now();
  const child = spawn(process.execPath, [PATH("src/cli/main.ts"), "beam", "run"], {
    ...{ cwd, env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let words = "";
  child.stderr.on("data", (bytes: Buffer) => {
    words = `${words}${bytes}`.slice(-1_000);
  });
  const ended = once(child, "close");
  try {
    for (;;) {
      for await (const batch of store.scan(keyspace)) {
        if (batch.length > 0) return (performance.now() - started) / 1_000;
      }
      const late = performance.now() - started > DEADLINE_MS;
      if (late || (await Promise.race([pause(LOOK_MS), ended])) !== undefined) {
        throw new MillraceError("BEAM_JOB_FAILED", `No tile came: ${words}`, { kind: "operational" });
      }
    }
  } finally {
    // The JVM ends with its launcher.
    child.kill("SIGKILL");
    await ended;
    await store.close();
  }
}

/** A cache folder with the host as it is built, but for what the JVM kept of its classes. */
async function withoutArchive(host: BeamHost, cache: string): Promise<string> {
  const built = dirname(host.classPath.split(delimiter)[0]!);
  const to = join(cache, "millrace", basename(built));
  await mkdir(to, { recursive: true });
  for (const file of await readdir(built)) if (!file.endsWith(".jsa")) await symlink(join(built, file), join(to, file));
  return cache;
}
