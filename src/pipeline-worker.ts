import { pathToFileURL } from "node:url";
import { parentPort, workerData } from "node:worker_threads";
import { createWorkerMethods, type WorkerOptions } from "./worker-methods.ts";
import { notify, serveRpc } from "./thread-rpc.ts";

/** The thread that owns the write side: ingestion, engine, cold store; see `platform.ts` for the other end. */
const options = workerData as WorkerOptions;
const port = parentPort!;
const modules = await Promise.all(
  options.declarations.map(async (path) => (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>),
);
const methods = await createWorkerMethods(options, modules, (notice, value) => notify(port, notice, value));
serveRpc(port, methods);
notify(port, "opened", null);
