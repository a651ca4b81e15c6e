import { parentPort, workerData } from "node:worker_threads";
import { createMetrics } from "../monitoring/metrics.ts";
import { openTracing } from "../monitoring/tracing/open-tracing.ts";
import { VERSION } from "../version.ts";
import { DIED, notify, portableError, serveRpc } from "./thread-rpc.ts";
import { createWorkerMethods, type WorkerOptions } from "./worker-methods.ts";

/** The thread that owns the write side: ingestion, engine, cold store; see `platform.ts` for the other end. */
const options = workerData as WorkerOptions;
const port = parentPort!;
let stores: { abandon(): Promise<void> } | null = null;
let hasFailed = false;
// A thread that ends in the midst of a store's work takes the process with it: the stores are closed, and the thread
// stays, doing nothing, until the process ends.
process.on("uncaughtException", (error) => {
  if (hasFailed) return;
  hasFailed = true;
  notify(port, DIED, error instanceof Error ? error.message : String(error));
  void stores?.abandon().catch(() => {});
});
try {
  const metrics = createMetrics({ thread: "pipeline" });
  const tracing = await openTracing({ env: process.env, thread: "pipeline", version: VERSION });
  const methods = await createWorkerMethods(options, (notice, value) => notify(port, notice, value));
  stores = methods;
  const close = async (): Promise<void> => {
    await methods.close();
    await tracing?.close();
  };
  serveRpc(port, { ...methods, close, metrics: async (accept: string) => (await metrics.render(accept)).body });
  notify(port, "opened", null);
} catch (error) {
  notify(port, "failed", portableError(error));
}
