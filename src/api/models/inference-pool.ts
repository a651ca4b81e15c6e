import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { millraceError } from "../../definitions/errors.ts";
import type { Value } from "../../definitions/value.ts";
import { type InferenceModel, inferenceModelId } from "./inference-model.ts";
import type { InferenceAnswer, InferenceCall } from "./inference-worker.ts";
import { modelError } from "./model-errors.ts";
import type { ModelAnswer } from "./model-runner.ts";

/** Threads that predict large batches, so that the calling thread stays free for requests. */
export interface InferencePool {
  /**
   * The answers in the rows' order. A thread loads the model at its first batch.
   * @throws `MODEL_VERSION_CHANGED` if the folder no longer has that content; what the model's runner throws
   */
  predict(model: InferenceModel, rows: readonly (readonly Value[])[]): Promise<readonly ModelAnswer[]>;
  /** Loads the model into the threads that run, into the first one if none does: its first batch then waits for nothing. */
  warm(model: InferenceModel): Promise<void>;
  /** True if threads should still hold the model. */
  holds(model: InferenceModel): boolean;
  close(): Promise<void>;
}

interface Thread {
  readonly worker: Worker;
  readonly waiting: Map<number, { resolve(answers: readonly ModelAnswer[]): void; reject(error: Error): void }>;
}

/** `threads` are started when they are first needed; `maxModels` (default 4) is how many each keeps loaded. */
export function createInferencePool(options: { readonly threads: number; readonly maxModels?: number }): InferencePool {
  const { maxModels = 4 } = options;
  const threads: Thread[] = [];
  /** In the order of their last use, as each thread keeps them. */
  const held = new Set<string>();
  let nextCall = 0;
  let isClosed = false;

  function start(): Thread {
    const worker = new Worker(workerFile(), {
      name: "millrace-inference",
      workerData: { maxModels },
    });
    // An idle thread does not keep the process alive.
    worker.unref();
    const thread: Thread = { worker, waiting: new Map() };
    worker.on("message", (answer: InferenceAnswer) => {
      const call = thread.waiting.get(answer.call);
      thread.waiting.delete(answer.call);
      if (thread.waiting.size === 0) worker.unref();
      if (answer.error === undefined) call?.resolve(answer.answers);
      else call?.reject(millraceError(answer.error.code, answer.error.message, answer.error));
    });
    const die = (why: string): void => {
      const index = threads.indexOf(thread);
      if (index >= 0) threads.splice(index, 1);
      const error = modelError(
        "MODEL_RUN_FAILED",
        `The inference thread ended: ${why}. The next batch starts another.`,
        {
          kind: "operational",
        },
      );
      for (const { reject } of thread.waiting.values()) reject(error);
      thread.waiting.clear();
    };
    worker.on("error", (error) => die(error instanceof Error ? error.message : String(error)));
    worker.on("exit", (code) => die(`exit code ${code}`));
    threads.push(thread);
    return thread;
  }

  function note(model: InferenceModel): void {
    const id = inferenceModelId(model);
    held.delete(id);
    held.add(id);
    if (held.size > maxModels) held.delete(held.values().next().value!);
  }

  function send(
    thread: Thread,
    model: InferenceModel,
    rows: readonly (readonly Value[])[],
  ): Promise<readonly ModelAnswer[]> {
    note(model);
    return new Promise((resolve, reject) => {
      const call = nextCall++;
      thread.waiting.set(call, { resolve, reject });
      thread.worker.ref();
      const matrix = packRows(rows, model.columns.length);
      const message: InferenceCall = { call, ...model, rows: matrix === null ? rows : null, matrix };
      thread.worker.postMessage(message, matrix === null ? [] : [matrix.buffer]);
    });
  }

  return {
    predict(model, rows) {
      if (isClosed) {
        return Promise.reject(modelError("MODEL_CLOSED", "The server is closing.", { kind: "operational" }));
      }
      const idle = threads.find((thread) => thread.waiting.size === 0);
      const thread =
        idle ??
        (threads.length < options.threads
          ? start()
          : threads.reduce((least, other) => (other.waiting.size < least.waiting.size ? other : least)));
      return send(thread, model, rows);
    },
    async warm(model) {
      if (isClosed || options.threads === 0) return;
      if (threads.length === 0) start();
      await Promise.all(threads.map((thread) => send(thread, model, [])));
    },
    holds: (model) => held.has(inferenceModelId(model)),
    async close() {
      isClosed = true;
      await Promise.all(threads.map((thread) => thread.worker.terminate()));
    },
  };
}

/** Rows of numbers and nulls as one block that is moved instead of copied; null stands as NaN, which no value is. */
function packRows(rows: readonly (readonly Value[])[], width: number): Float64Array<ArrayBuffer> | null {
  const matrix = new Float64Array(rows.length * width);
  for (let r = 0, i = 0; r < rows.length; r++) {
    const row = rows[r]!;
    for (let c = 0; c < width; c++, i++) {
      const value = row[c];
      if (typeof value === "number") matrix[i] = value;
      else if (value === null) matrix[i] = Number.NaN;
      else return null;
    }
  }
  return matrix;
}

/** Beside this file: TypeScript in the repository, JavaScript where it was built. */
function workerFile(): string {
  const typescript = fileURLToPath(new URL("./inference-worker.ts", import.meta.url));
  return existsSync(typescript) ? typescript : typescript.replace(/\.ts$/, ".js");
}
