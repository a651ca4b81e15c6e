import type { InferenceSession, Tensor } from "onnxruntime-node";
import type { Value } from "../../definitions/value.ts";
import { corruptModel, modelError } from "./model-errors.ts";
import {
  bindColumns,
  type ModelAnswer,
  type ModelColumn,
  type ModelRunner,
  type PreparedModel,
  refuseClosed,
} from "./model-runner.ts";
import { refuseExternalData } from "./onnx-external-data.ts";
import { tensorData } from "./onnx-tensors.ts";

export interface OnnxRunnerOptions {
  /** Names of the features of a model with one [rows, features] input, which ONNX itself does not record. */
  readonly inputs?: readonly ModelColumn[] | null;
  /** The output to answer with. Default: the one named like `probabilities`, else the first. */
  readonly output?: string;
  /** Threads per run. Default 1: more cores are used by more threads or processes of the server. */
  readonly threads?: number;
}

export interface OnnxRunner extends ModelRunner {
  /** How many columns it takes; null if the file leaves it open. */
  readonly inputCount: number | null;
}

interface TensorInput {
  readonly name: string;
  readonly type: string;
  /** 1: shape [rows]; 2: shape [rows, width]. */
  readonly rank: 1 | 2;
  /** Null when the file leaves it open. */
  readonly width: number | null;
}

/**
 * A runner for an ONNX model, by the package `onnxruntime-node`, which is loaded on first use.
 *
 * Takes models with one input of shape [rows, features] and models with one input per column, of shape [rows, 1] or
 * [rows]; of types float, double, integer, bool and string (only floats can be missing). Answers with one output
 * tensor: a number or text per row, or a list. A run blocks the calling thread although it returns a promise: large
 * batches belong on a worker thread.
 *
 * @throws MODEL_RUNTIME_MISSING, MODEL_CORRUPT, MODEL_UNSUPPORTED (sequence outputs of ZipMap, tensors in other files)
 */
export async function onnxRunner(bytes: Uint8Array, options: OnnxRunnerOptions = {}): Promise<OnnxRunner> {
  refuseExternalData(bytes);
  const runtime = await importRuntime();
  const threads = options.threads ?? 1;
  let session: InferenceSession;
  try {
    session = await runtime.InferenceSession.create(bytes, {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: "sequential",
      // 4 is fatal: failures come as exceptions, so that nothing needs to be written to stderr.
      logSeverityLevel: 4,
    });
  } catch (cause) {
    throw corruptModel(`ONNX Runtime does not accept it (${firstLine(cause)})`, { cause });
  }
  const tensors = session.inputMetadata.map(describeInput);
  const output = chooseOutput(session.outputMetadata, options.output);
  const isMatrix = tensors.length === 1;
  const inputs = isMatrix ? matrixColumns(tensors[0]!, options.inputs ?? null) : tensors.map(singleColumn);
  const inputCount = isMatrix ? tensors[0]!.width : tensors.length;
  const sizeBytes = bytes.length;
  let isClosed = false;

  async function run(
    rows: readonly (readonly Value[])[],
    positions: Int32Array,
    names: readonly string[],
  ): Promise<readonly ModelAnswer[]> {
    if (isClosed) refuseClosed();
    if (rows.length === 0) return [];
    const feeds: Record<string, Tensor> = {};
    for (const [t, tensor] of tensors.entries()) {
      const first = isMatrix ? 0 : t;
      const width = isMatrix ? positions.length : 1;
      const read = (row: number, f: number): Value | undefined => rows[row]![positions[first + f]!];
      const data = tensorData(tensor.type, rows.length, names.slice(first, first + width), read);
      const shape = tensor.rank === 1 ? [rows.length] : [rows.length, width];
      // The constructor's overloads tie each type to its array; `tensorData` has chosen the array by the type.
      feeds[tensor.name] = new runtime.Tensor(tensor.type as "float32", data as Float32Array, shape);
    }
    let result: Tensor;
    try {
      result = (await session.run(feeds, [output.name]))[output.name] as Tensor;
    } catch (cause) {
      throw modelError("MODEL_RUN_FAILED", `ONNX Runtime failed on ${rows.length} rows: ${firstLine(cause)}`, {
        cause,
      });
    }
    return toAnswers(result, rows.length);
  }

  function prepare(columns: readonly string[]): PreparedModel {
    const positions = bindColumns(inputs, inputCount, columns);
    const names = inputs?.map((input) => input.name) ?? columns;
    return { predictRow: null, predict: (rows) => run(rows, positions, names) };
  }

  return {
    flavor: "onnx",
    inputs,
    outputs: [output],
    sizeBytes,
    inputCount,
    prepare,
    predict: async (batch) => prepare(batch.columns).predict(batch.rows),
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      await session.release();
    },
  };
}

async function importRuntime(): Promise<typeof import("onnxruntime-node")> {
  try {
    return await import("onnxruntime-node");
  } catch (cause) {
    throw modelError(
      "MODEL_RUNTIME_MISSING",
      "ONNX models need the package onnxruntime-node, which is not installed or does not load here: npm install onnxruntime-node",
      { cause, kind: "operational" },
    );
  }
}

function firstLine(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.split("\n", 1)[0]!.slice(0, 300);
}

function describeInput(meta: InferenceSession.ValueMetadata): TensorInput {
  if (!meta.isTensor || meta.shape.length < 1 || meta.shape.length > 2) {
    throw modelError(
      "MODEL_UNSUPPORTED",
      `The ONNX input "${meta.name}" is not a table of rows (its shape must be [rows, features], [rows, 1] or [rows]).`,
    );
  }
  const width = meta.shape.length === 1 ? 1 : meta.shape[1];
  return {
    name: meta.name,
    type: meta.type,
    rank: meta.shape.length === 1 ? 1 : 2,
    width: typeof width === "number" && width > 0 ? width : null,
  };
}

function singleColumn(tensor: TensorInput): ModelColumn {
  if (tensor.width !== null && tensor.width !== 1) {
    throw modelError(
      "MODEL_UNSUPPORTED",
      `The ONNX model has several inputs, of which "${tensor.name}" has ${tensor.width} columns. Export it with one input of all features, or one input per feature.`,
    );
  }
  return { name: tensor.name, type: tensor.type, required: true };
}

/** Names for the features of one matrix: the signature's, or the input's own when it is a single column. */
function matrixColumns(tensor: TensorInput, signature: readonly ModelColumn[] | null): readonly ModelColumn[] | null {
  if (signature !== null) {
    if (tensor.width === null || tensor.width === signature.length) return signature;
    throw modelError(
      "SIGNATURE_MISMATCH",
      `The signature names ${signature.length} inputs, the ONNX model takes ${tensor.width} features. Log the model again with the signature of the data it was trained on.`,
      { details: { expected: tensor.width, actual: signature.length } },
    );
  }
  return tensor.width === 1 ? [{ name: tensor.name, type: tensor.type, required: true }] : null;
}

function chooseOutput(outputs: readonly InferenceSession.ValueMetadata[], wanted: string | undefined): ModelColumn {
  const likely = outputs.find((output) => /prob/i.test(output.name)) ?? outputs[0];
  const chosen = wanted === undefined ? likely : outputs.find((output) => output.name === wanted);
  const known = outputs.map((output) => output.name).join(", ");
  if (chosen === undefined) {
    throw modelError("MODEL_UNSUPPORTED", `The ONNX model has no output "${wanted ?? ""}". It has: ${known}.`);
  }
  if (!chosen.isTensor) {
    throw modelError(
      "MODEL_UNSUPPORTED",
      `The ONNX output "${chosen.name}" is a sequence of maps, not a tensor. Export the model without ZipMap: to_onnx(model, …, options={"zipmap": False}), or choose another output of: ${known}.`,
    );
  }
  return { name: chosen.name, type: chosen.type, required: true };
}

function toAnswers(tensor: Tensor, rows: number): readonly ModelAnswer[] {
  const data = tensor.data;
  if (tensor.dims[0] !== rows && !(rows === 1 && tensor.dims.length === 0)) {
    throw modelError(
      "MODEL_RUN_FAILED",
      `The ONNX model gave an output of shape [${tensor.dims.join(", ")}] for ${rows} rows. Its first dimension must be the rows.`,
    );
  }
  const width = data.length / rows;
  return Array.from({ length: rows }, (_, row) => {
    if (width === 1) return scalar(data[row]);
    return Array.from({ length: width }, (_, i) => scalar(data[row * width + i]));
  });
}

function scalar(value: unknown): number | string {
  return typeof value === "string" ? value : Number(value);
}
