import { parentPort, workerData } from "node:worker_threads";
import type { Value } from "../../definitions/value.ts";
import { type PortableModelError, portableModelError } from "./model-errors.ts";
import type { ModelAnswer, ModelRunner, PreparedModel } from "./model-runner.ts";
import { type OnnxRunnerOptions, onnxRunner } from "./onnx-runner.ts";

/** What the thread begins with. */
export interface OnnxThreadData {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly options: OnnxRunnerOptions;
}

/** What it says once, when the session is made. */
export type OnnxThreadReady =
  | (Pick<ModelRunner, "inputs" | "outputs" | "sizeBytes"> & { readonly inputCount: number | null })
  | { readonly error: PortableModelError };

export interface OnnxThreadCall {
  readonly call: number;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Value[])[];
}

export interface OnnxThreadAnswer {
  readonly call: number;
  readonly answers: readonly ModelAnswer[];
  readonly error?: PortableModelError;
}

const port = parentPort!;
const { bytes, options } = workerData as OnnxThreadData;
/** By their columns. */
const prepared = new Map<string, PreparedModel>();
try {
  const runner = await onnxRunner(bytes, options);
  const { inputs, outputs, sizeBytes, inputCount } = runner;
  port.on("message", (message: OnnxThreadCall) => void answer(runner, message));
  port.postMessage({ inputs, outputs, sizeBytes, inputCount } satisfies OnnxThreadReady);
} catch (error) {
  port.postMessage({ error: portableModelError(error) } satisfies OnnxThreadReady);
}

async function answer(runner: ModelRunner, { call, columns, rows }: OnnxThreadCall): Promise<void> {
  try {
    const id = columns.join("\n");
    const model = prepared.get(id) ?? runner.prepare(columns);
    prepared.set(id, model);
    port.postMessage({ call, answers: await model.predict(rows) } satisfies OnnxThreadAnswer);
  } catch (error) {
    port.postMessage({ call, answers: [], error: portableModelError(error) } satisfies OnnxThreadAnswer);
  }
}
