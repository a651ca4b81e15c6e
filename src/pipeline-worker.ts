import { pathToFileURL } from "node:url";
import { parentPort, workerData } from "node:worker_threads";
import { createMetrics } from "./monitoring/metrics.ts";
import { notify, portableError, serveRpc } from "./thread-rpc.ts";
import { createWorkerMethods, type WorkerOptions } from "./worker-methods.ts";

/** The thread that owns the write side: ingestion, engine, cold store; see `platform.ts` for the other end. */
const options = workerData as WorkerOptions;
const port = parentPort!;
try {
  const modules = await Promise.all(
    options.declarations.map(
      async (path) => (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>,
    ),
  );
  const metrics = createMetrics({ thread: "pipeline" });
  const methods = await createWorkerMethods(options, modules, (notice, value) => notify(port, notice, value));
  serveRpc(port, { ...methods, metrics: async (accept: string) => (await metrics.render(accept)).body });
  notify(port, "opened", null);
} catch (error) {
  notify(port, "failed", portableError(error));
}
