import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import type { Logger } from "pino";
import { createModelHost, type ModelHost } from "./api/models/model-host.ts";
import { type ApiServer, createApiServer } from "./api/server.ts";
import type { ResolvedConfig } from "./config.ts";
import { millraceError } from "./definitions/errors.ts";
import { collectDeclarations, type Declarations } from "./feature_engineering/plan/collect-declarations.ts";
import { createFeatureStore, type FeatureStore } from "./feature_store/feature-store.ts";
import { lmdbOnlineStore } from "./feature_store/online/lmdb-online-store.ts";
import { mergeExpositions } from "./monitoring/merge-expositions.ts";
import { createMetrics } from "./monitoring/metrics.ts";
import { claimDataFolder } from "./process-file.ts";
import { callRpc, type RpcClient } from "./thread-rpc.ts";
import { VERSION } from "./version.ts";
import type { WorkerMethods, WorkerOptions } from "./worker-methods.ts";

export interface PlatformOptions {
  readonly log: Logger;
  /** False: no source is read; events still come over HTTP. Default true. */
  readonly ingest?: boolean;
}

/** A running Millrace on the embedded stores: this thread serves and reads, another one has the write side. */
export interface Platform {
  readonly url: string;
  readonly config: ResolvedConfig;
  readonly declarations: Declarations;
  readonly features: FeatureStore;
  readonly models: ModelHost;
  readonly worker: RpcClient<WorkerMethods>;
  /** What admin routes ask for; also in the data folder's private file. */
  readonly token: string;
  /** Resolves when every view is filled and every model was tried; rejects if the pipeline could not start. */
  ready(): Promise<void>;
  /** Answers 503 on /readyz, finishes what is in flight, hands on what was fetched, makes it durable, closes all. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Imports the modules with the declarations. `DECLARATIONS_INVALID` says which file cannot be loaded and why. */
export async function loadDeclarations(paths: readonly string[]): Promise<Declarations> {
  const all: Record<string, unknown> = {};
  for (const [index, path] of paths.entries()) {
    try {
      const module = (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>;
      for (const [name, value] of Object.entries(module)) all[`${index}.${name}`] = value;
    } catch (error) {
      const code =
        error instanceof Error && "code" in error && error.name === "MillraceError" ? `${String(error.code)}: ` : "";
      throw millraceError(
        "DECLARATIONS_INVALID",
        `The declarations in ${path} cannot be loaded: ${code}${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      );
    }
  }
  return collectDeclarations(all);
}

/** Opens the stores, starts the pipeline's thread and the HTTP server. Serves at once; `ready` says when all is filled. */
export async function openPlatform(config: ResolvedConfig, options: PlatformOptions): Promise<Platform> {
  const { log } = options;
  const declarations = await loadDeclarations(config.declarations);
  await mkdir(config.data, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw millraceError(
      "DATA_FOLDER_UNWRITABLE",
      `The data folder ${config.data} cannot be made: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  });
  const token = crypto.randomUUID();
  const claim = await claimDataFolder(config.data, { pid: process.pid, url: null, token });
  const undo: (() => Promise<void>)[] = [() => claim.release()];
  try {
    const metrics = createMetrics({ thread: "main" });
    undo.push(async () => metrics.close());
    const { worker, rpc } = await startWorker(config, options.ingest ?? true, log);
    undo.push(async () => {
      await rpc.close().catch((error: unknown) => log.error({ err: error }, "the pipeline did not close cleanly"));
      await worker.terminate();
    });
    const online = await lmdbOnlineStore({ path: join(config.data, "hot") });
    undo.push(() => online.close());
    const features = createFeatureStore({
      ...declarations,
      online,
      offline: null,
      now: Date.now,
      onFunctionFailure: (where) => log.debug({ where }, "a function failed on a row"),
    });
    const models = createModelHost({ models: declarations.models, features, ...config.models, log, now: Date.now });
    undo.push(() => models.close());

    let failure: unknown = null;
    const waiting = new Set(["views are being filled", "models are being loaded"]);
    const readiness = (): { ready: boolean; reasons: readonly string[] } => ({
      ready: waiting.size === 0 && failure === null,
      reasons: [
        ...waiting,
        ...(failure === null ? [] : [failure instanceof Error ? failure.message : String(failure)]),
      ],
    });
    const server: ApiServer = await createApiServer({
      features,
      models,
      backend: rpc,
      declarations,
      readiness,
      metrics: async (accept) => {
        const own = await metrics.render(accept);
        return { ...own, body: mergeExpositions(own.body, await rpc.metrics(accept)) };
      },
      limits: { bodyLimitBytes: config.server.bodyLimitBytes, maxRows: config.server.maxRows },
      log,
      version: VERSION,
      token,
    });
    undo.push(() => server.close());
    const { url } = await server.listen({ host: config.server.host, port: config.server.port });
    await claim.update(url);

    const filled = rpc.start().then(() => waiting.delete("views are being filled"));
    const loaded = models.start().then(() => waiting.delete("models are being loaded"));
    const ready = Promise.all([filled, loaded]).then(
      () => {},
      (error: unknown) => {
        failure = error;
        throw error;
      },
    );
    ready.catch((error: unknown) => log.error({ err: error }, "not ready"));

    let closing: Promise<void> | null = null;
    const close = (): Promise<void> => {
      closing ??= (async () => {
        await server.drain();
        await unwind(undo, log);
      })();
      return closing;
    };
    return {
      url,
      config,
      declarations,
      features,
      models,
      worker: rpc,
      token,
      ready: () => ready,
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await unwind(undo, log);
    throw error;
  }
}

async function startWorker(
  config: ResolvedConfig,
  ingest: boolean,
  log: Logger,
): Promise<{ worker: Worker; rpc: RpcClient<WorkerMethods> }> {
  const workerData: WorkerOptions = {
    declarations: config.declarations,
    data: config.data,
    replay: config.replay,
    ingest,
  };
  const worker = new Worker(workerFile(), { workerData, name: "millrace-pipeline" });
  const opened = Promise.withResolvers<void>();
  const rpc = callRpc<WorkerMethods>(worker, (notice, value) => {
    if (notice === "opened") opened.resolve();
    else if (notice === "failed") opened.reject(toError(value));
    else if (notice === "source-failed") log.error(value as object, "a source stopped");
    else if (notice === "background-failed") log.error(value as object, "work in the background failed");
    else if (notice === "function-failed") log.debug({ where: value }, "a function failed on an event");
  });
  worker.once("error", (error) => opened.reject(error));
  worker.once("exit", (code) =>
    opened.reject(
      millraceError("THREAD_DIED", `The pipeline's thread ended with code ${code} at start.`, { kind: "operational" }),
    ),
  );
  await opened.promise;
  return { worker, rpc };
}

function toError(value: unknown): Error {
  const { code, message, kind } = value as { code: string; message: string; kind: "user" | "operational" | "bug" };
  return millraceError(code, message, { kind });
}

/** Beside this file: TypeScript in the repository, JavaScript where it was built. */
function workerFile(): string {
  const typescript = fileURLToPath(new URL("./pipeline-worker.ts", import.meta.url));
  return existsSync(typescript) ? typescript : typescript.replace(/\.ts$/, ".js");
}

async function unwind(undo: (() => Promise<void>)[], log: Logger): Promise<void> {
  for (const step of undo.splice(0).reverse()) {
    await step().catch((error: unknown) => log.error({ err: error }, "could not close cleanly"));
  }
}
