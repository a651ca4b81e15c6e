import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isMainThread, Worker } from "node:worker_threads";
import { millraceError } from "../../definitions/errors.ts";
import type { Value } from "../../definitions/value.ts";
import { modelError } from "./model-errors.ts";
import { bindColumns, type ModelAnswer, type ModelRunner, type PreparedModel, refuseClosed } from "./model-runner.ts";
import { type OnnxRunnerOptions, onnxRunner } from "./onnx-runner.ts";
import type { OnnxThreadAnswer, OnnxThreadCall, OnnxThreadData, OnnxThreadReady } from "./onnx-thread-worker.ts";

/** ONNX Runtime takes about 5 ms to make a session of so many bytes, in which its thread does nothing else. */
const LARGE_BYTES = 512 * 1_024;

/**
 * A runner for an ONNX file: small ones on the calling thread, large ones on a thread of their own, which makes the
 * session and runs it. Making a session of 100 MB takes a second, and a session belongs to the thread that made it; so
 * the calling thread goes on answering meanwhile, at the price of a message there and back for each call.
 *
 * @throws as `onnxRunner`
 */
export async function onnxModel(bytes: Uint8Array, options: OnnxRunnerOptions = {}): Promise<ModelRunner> {
  return bytes.length > LARGE_BYTES && isMainThread ? onnxThreadRunner(bytes, options) : onnxRunner(bytes, options);
}

interface Waiting {
  resolve(answers: readonly ModelAnswer[]): void;
  reject(error: unknown): void;
}

/** `bytes` must not be used afterwards. */
export async function onnxThreadRunner(bytes: Uint8Array, options: OnnxRunnerOptions = {}): Promise<ModelRunner> {
  // Of its own memory, so that it can be moved.
  const own = (bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice()) as Uint8Array<ArrayBuffer>;
  const worker = new Worker(workerFile(), {
    name: "millrace-onnx",
    workerData: { bytes: own, options } satisfies OnnxThreadData,
    transferList: [own.buffer],
  });
  const calls = new Map<number, Waiting>();
  let next = 0;
  let isClosed = false;
  let death: Error | null = null;

  const ready = Promise.withResolvers<Exclude<OnnxThreadReady, { readonly error: unknown }>>();
  worker.once("message", (told: OnnxThreadReady) => {
    if ("error" in told) return ready.reject(millraceError(told.error.code, told.error.message, told.error));
    worker.on("message", settle);
    ready.resolve(told);
  });
  const die = (why: string): void => {
    death ??= modelError("MODEL_RUN_FAILED", `The thread of an ONNX model ended: ${why}. Load the model again.`, {
      kind: "operational",
    });
    ready.reject(death);
    for (const { reject } of calls.values()) reject(death);
    calls.clear();
  };
  worker.on("error", (error) => die(error instanceof Error ? error.message : String(error)));
  worker.on("exit", (code) => die(`exit code ${code}`));

  function settle({ call, answers, error }: OnnxThreadAnswer): void {
    const waiting = calls.get(call);
    calls.delete(call);
    // An idle thread does not keep the process alive.
    if (calls.size === 0) worker.unref();
    if (error === undefined) waiting?.resolve(answers);
    else waiting?.reject(millraceError(error.code, error.message, error));
  }

  let known: Awaited<typeof ready.promise>;
  try {
    known = await ready.promise;
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  worker.unref();
  const { inputs, outputs, sizeBytes, inputCount } = known;

  function prepare(columns: readonly string[]): PreparedModel {
    bindColumns(inputs, inputCount, columns);
    return {
      predictRow: null,
      predict: (rows: readonly (readonly Value[])[]) => {
        if (isClosed) refuseClosed();
        if (death !== null) throw death;
        return new Promise((resolve, reject) => {
          const call = next++;
          calls.set(call, { resolve, reject });
          worker.ref();
          worker.postMessage({ call, columns, rows } satisfies OnnxThreadCall);
        });
      },
    };
  }

  return {
    flavor: "onnx",
    inputs,
    outputs,
    sizeBytes,
    prepare,
    predict: async (batch) => prepare(batch.columns).predict(batch.rows),
    async close() {
      if (isClosed) return;
      isClosed = true;
      await worker.terminate();
    },
  };
}

/** Beside this file: TypeScript in the repository, JavaScript where it was built. */
function workerFile(): string {
  const typescript = fileURLToPath(new URL("./onnx-thread-worker.ts", import.meta.url));
  return existsSync(typescript) ? typescript : typescript.replace(/\.ts$/, ".js");
}
