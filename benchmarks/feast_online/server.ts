/**
 * The Millrace that `feast-online` measures: on LMDB the whole platform on its defaults; on Redis its layers, with the
 * history in memory. Arguments: the data folder, and `lmdb` or Redis' port. Prints its address; takes rows by `/push`.
 */
import { fileURLToPath } from "node:url";
import pino from "pino";
import { createModelHost } from "../../src/api/models/model-host.ts";
import { createApiServer } from "../../src/api/server.ts";
import { resolveConfig } from "../../src/config.ts";
import { millraceError } from "../../src/definitions/errors.ts";
import { collectDeclarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import { createFeatureStore } from "../../src/feature_store/feature-store.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import { redisOnlineStore } from "../../src/feature_store/online/redis-online-store.ts";
import { createMetrics } from "../../src/monitoring/metrics.ts";
import { createPipeline } from "../../src/pipeline.ts";
import { openPlatform } from "../../src/platform.ts";
import * as features from "./features.ts";

const [data = "", store = "lmdb"] = process.argv.slice(2);
const log = pino({ level: "error" });
const { url, close } = store === "lmdb" ? await onLmdb() : await onRedis(Number(store));
process.stdout.write(`${url}\n`);
process.on("SIGTERM", () => void close().then(() => process.exit(0)));

interface Running {
  readonly url: string;
  readonly close: () => Promise<void>;
}

async function onLmdb(): Promise<Running> {
  const here = fileURLToPath(new URL(".", import.meta.url));
  const config = resolveConfig({ declarations: "features.ts" }, here, { MILLRACE_DATA: data, MILLRACE_PORT: "0" });
  const platform = await openPlatform(config, { log });
  await platform.ready();
  return platform;
}

async function onRedis(port: number): Promise<Running> {
  const declarations = collectDeclarations({ ...features });
  const online = await redisOnlineStore({ url: `redis://127.0.0.1:${port}/1` });
  const offline = memoryOfflineStore();
  const metrics = createMetrics({ thread: "main" });
  const pipeline = createPipeline({ ...declarations, online, offline });
  const store = createFeatureStore({ ...declarations, online, offline, now: Date.now });
  const models = createModelHost({
    models: [],
    features: store,
    pollSeconds: 3_600,
    cacheBytes: 2 ** 20,
    log,
    now: Date.now,
  });
  await pipeline.recover();
  await pipeline.start();
  const server = await createApiServer({
    features: store,
    models,
    declarations,
    // Only pushes are asked of it here.
    backend: { push: pipeline.push } as Parameters<typeof createApiServer>[0]["backend"],
    takeOver: async () => {
      throw millraceError("PLAN_BREAKING", "Nothing is taken over here.");
    },
    readiness: () => ({ ready: true, reasons: [] }),
    metrics: (accept) => metrics.render(accept),
    limits: { bodyLimitBytes: 2 ** 25, maxRows: 100_000 },
    log,
    version: "0",
    token: null,
  });
  const { url } = await server.listen({ host: "127.0.0.1", port: 0 });
  return {
    url,
    async close() {
      await server.close();
      await pipeline.close();
      await online.close();
    },
  };
}
