import { parentPort, workerData } from "node:worker_threads";
import { isMillraceError, type MillraceError } from "../../definitions/errors.ts";
import type { Value } from "../../definitions/value.ts";
import { folderEtag, folderState } from "./folder-etag.ts";
import { inferenceModelId } from "./inference-model.ts";
import { loadModelFolder } from "./load-model-folder.ts";
import { modelError } from "./model-errors.ts";
import type { ModelAnswer, ModelRunner, PreparedModel } from "./model-runner.ts";

/** A batch for an inference thread, which loads the model; rows, if there are any, come as values, or as a matrix of numbers in which NaN is null. */
export interface InferenceCall {
  readonly call: number;
  readonly folder: string;
  readonly etag: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Value[])[] | null;
  readonly matrix: Float64Array<ArrayBuffer> | null;
}

export interface InferenceAnswer {
  readonly call: number;
  readonly answers: readonly ModelAnswer[];
  readonly error?: Pick<MillraceError, "code" | "message" | "kind" | "details">;
}

interface Loaded {
  readonly runner: ModelRunner;
  readonly prepared: PreparedModel;
}

const { maxModels } = workerData as { readonly maxModels: number };
/** In the order of their last use. */
const models = new Map<string, Promise<Loaded>>();
const port = parentPort!;
let turn: Promise<void> = Promise.resolve();

port.on("message", (message: InferenceCall) => {
  turn = turn.then(async () => port.postMessage(await answer(message)));
});

async function answer(message: InferenceCall): Promise<InferenceAnswer> {
  const { call } = message;
  try {
    const { prepared } = await modelOf(message);
    const isEmpty = (message.rows ?? message.matrix)!.length === 0;
    if (isEmpty) return { call, answers: [] };
    return { call, answers: await prepared.predict(message.rows ?? unpack(message.matrix!, message.columns.length)) };
  } catch (error) {
    const { code, kind, details } = isMillraceError(error)
      ? error
      : { code: "INTERNAL", kind: "bug" as const, details: {} };
    const text = error instanceof Error ? error.message : String(error);
    return { call, answers: [], error: { code, kind, details: { ...details }, message: text } };
  }
}

function modelOf(message: InferenceCall): Promise<Loaded> {
  const id = inferenceModelId(message);
  const known = models.get(id);
  models.delete(id);
  const model = known ?? load(message);
  models.set(id, model);
  if (known === undefined) {
    model.catch(() => models.delete(id));
    const [oldest] = models.keys();
    if (models.size > maxModels && oldest !== undefined) {
      void models.get(oldest)?.then(({ runner }) => runner.close());
      models.delete(oldest);
    }
  }
  return model;
}

async function load({ folder, etag, columns }: InferenceCall): Promise<Loaded> {
  const { runner } = await loadModelFolder(folder);
  const state = await folderState(folder);
  if (state === null || (await folderEtag(folder, state.files)) !== etag) {
    await runner.close();
    throw modelError("MODEL_VERSION_CHANGED", "The model's folder no longer has the content of the version.", {
      kind: "operational",
    });
  }
  return { runner, prepared: runner.prepare(columns) };
}

function unpack(matrix: Float64Array, width: number): Value[][] {
  return Array.from({ length: matrix.length / width }, (_, r) => {
    const row = new Array<Value>(width);
    for (let c = 0; c < width; c++) {
      const value = matrix[r * width + c]!;
      row[c] = Number.isNaN(value) ? null : value;
    }
    return row;
  });
}
