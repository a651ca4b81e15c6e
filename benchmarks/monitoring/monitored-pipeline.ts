/** What `monitoring-cost` measures: a file's events to three views, while metrics are switched off and on. Folder, events. */
import { join } from "node:path";
import { switchedMonitoring } from "./switched-monitoring.ts";

/** Small batches, as of a stream that is kept up with: what monitoring does is per batch. */
const MAX_BATCH = 1_000;

const monitoring = switchedMonitoring();
const { collectDeclarations } = await import("../../src/feature_engineering/plan/collect-declarations.ts");
const { duckdbOfflineStore } = await import("../../src/feature_store/offline/duckdb-offline-store.ts");
const { lmdbOnlineStore } = await import("../../src/feature_store/online/lmdb-online-store.ts");
const { fileReplay, streamSource } = await import("../../src/index.ts");
const { createMetrics } = await import("../../src/monitoring/metrics.ts");
const { createPipeline } = await import("../../src/pipeline/pipeline.ts");
const { schema, views } = await import("../payments.ts");

const folder = process.argv[2]!;
const stream = fileReplay({ path: join(folder, "payments.jsonl") });
const replayed = streamSource("payments", { stream, clock: "stream", eventTime: "at", lateness: "1m", schema });
const { sources } = collectDeclarations({ replayed });
const online = await lmdbOnlineStore({ path: join(folder, "hot") });
const opened = await duckdbOfflineStore({ path: join(folder, "cold.duckdb") });
let committed = 0;
const offline: typeof opened = {
  ...opened,
  async commit(commits) {
    const result = await opened.commit(commits);
    committed += commits.events.length;
    return result;
  },
};
const metrics = createMetrics({ thread: "pipeline" });
const pipeline = createPipeline({ sources, views, online, offline, maxBatch: MAX_BATCH });
await pipeline.recover();
await pipeline.start();
const cost = await monitoring.measure({ done: Number(process.argv[3]), pairs: 100 }, () => committed);
await pipeline.finished();
await pipeline.close();
await online.close();
await offline.close();
metrics.close();
process.send?.(cost, () => process.disconnect());
