import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { Logger } from "pino";
import { millraceError } from "../definitions/errors.ts";
import { callRpc, DIED, type RpcClient } from "./thread-rpc.ts";
import type { WorkerMethods, WorkerOptions } from "./worker-methods.ts";

/** The thread that ingests, folds and writes. */
export interface PipelineThread {
  readonly rpc: RpcClient<WorkerMethods>;
  /** Resolves with the reason when the thread ends, whyever. */
  readonly ended: Promise<string>;
  close(): Promise<void>;
}

/** Resolves when its stores are open. */
export async function startPipelineThread(options: WorkerOptions, log: Logger): Promise<PipelineThread> {
  const worker = new Worker(workerFile(), { workerData: options, name: "millrace-pipeline" });
  const opened = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<string>();
  const rpc = callRpc<WorkerMethods>(worker, (notice, value) => {
    if (notice === "opened") opened.resolve();
    else if (notice === "failed") opened.reject(toError(value));
    else if (notice === DIED) ended.resolve(String(value));
    else if (notice === "source-failed") log.error(value as object, "a source stopped");
    else if (notice === "background-failed") log.error(value as object, "work in the background failed");
    else if (notice === "function-failed") log.debug({ where: value }, "a function failed on an event");
  });
  worker.once("error", (error) => {
    opened.reject(error);
    ended.resolve(error instanceof Error ? error.message : String(error));
  });
  worker.once("exit", (code) => {
    opened.reject(
      millraceError("THREAD_DIED", `The pipeline's thread ended with code ${code} at start.`, { kind: "operational" }),
    );
    ended.resolve(`exit code ${code}`);
  });
  try {
    await opened.promise;
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  return {
    rpc,
    ended: ended.promise,
    async close() {
      await rpc.close().catch((error: unknown) => log.error({ err: error }, "the pipeline did not close cleanly"));
      await worker.terminate();
    },
  };
}

function toError(value: unknown): Error {
  const { code, message, kind, details } = value as {
    code: string;
    message: string;
    kind: "user" | "operational" | "bug";
    details: Readonly<Record<string, unknown>>;
  };
  return millraceError(code, message, { kind, details });
}

/** Beside this file: TypeScript in the repository, JavaScript where it was built. */
function workerFile(): string {
  const typescript = fileURLToPath(new URL("./pipeline-worker.ts", import.meta.url));
  return existsSync(typescript) ? typescript : typescript.replace(/\.ts$/, ".js");
}
