import { createHash } from "node:crypto";
import type { ModelMeta } from "../../definitions/model.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { serviceColumns } from "../../feature_engineering/plan/service-columns.ts";
import { fromUserOf, toUserOf } from "../../feature_engineering/transforms/derive-value.ts";
import type { LoadedModel } from "./load-model-folder.ts";
import { modelError } from "./model-errors.ts";
import { bindColumns, type ModelAnswer, type ModelRunner, refuseClosed } from "./model-runner.ts";
import type { ModelSource, ModelVersion } from "./model-source.ts";

/** A function of the declarations as a model of one version; changed declarations bring another. */
export function functionModelSource(model: ModelMeta): ModelSource {
  const { location, predict } = model;
  if (location.location !== "function" || predict === null) {
    throw modelError("MODEL_NOT_FOUND", `Model '${model.name}' is no function.`, { kind: "bug" });
  }
  const etag = createHash("sha256").update(String(predict)).digest("hex").slice(0, 32);
  const name = location.version ?? etag.slice(0, 12);
  const version: ModelVersion = { version: name, id: `${name}@${etag}`, etag, createdAt: null };
  return {
    list: async () => [version],
    fetch: async () => ({ folder: null, etag }),
    async open(): Promise<LoadedModel> {
      const about = {
        modelId: null,
        runId: null,
        createdAt: null,
        mlflowVersion: null,
        libraryVersion: null,
        metadata: null,
      };
      return {
        runner: functionRunner(model, predict as (row: object) => unknown),
        flavor: "function",
        signature: null,
        inputExample: null,
        millrace: null,
        about,
        loadSeconds: 0,
      };
    },
    close: async () => {},
  };
}

function functionRunner(model: ModelMeta, predict: (row: object) => unknown): ModelRunner {
  const columns = serviceColumns(model.service);
  const inputs = columns.map(({ name, type }) => ({ name, type: type.kind, required: true }));
  const convert = columns.map(({ type }) => toUserOf(type));
  const outputs = model.output.map(({ name, type }) => ({ name, type, read: fromUserOf({ ...type, nullable: true }) }));
  let isClosed = false;

  async function answer(row: readonly Value[], positions: Int32Array): Promise<ModelAnswer> {
    const given: Record<string, unknown> = {};
    for (const [i, { name }] of columns.entries()) {
      const value = row[positions[i]!]!;
      given[name] = convert[i] === null ? value : convert[i]!(value);
    }
    let result: unknown;
    try {
      result = await predict(given);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw modelError("MODEL_RUN_FAILED", `The function of model '${model.name}' failed: ${why}`, { cause });
    }
    return outputs.map(({ name, type, read }) => {
      const value =
        result !== null && typeof result === "object" ? read((result as Record<string, unknown>)[name]) : undefined;
      if (value === undefined) throw mismatch(model, name, type);
      return answerOf(value);
    });
  }

  function prepare(given: readonly string[]): ReturnType<ModelRunner["prepare"]> {
    const positions = bindColumns(inputs, null, given);
    return {
      predictRow: null,
      async predict(rows) {
        if (isClosed) refuseClosed();
        return Promise.all(rows.map((row) => answer(row, positions)));
      },
    };
  }

  return {
    flavor: "function",
    inputs,
    outputs: outputs.map(({ name, type }) => ({ name, type: type.kind, required: true })),
    sizeBytes: 0,
    prepare,
    predict: async (batch) => prepare(batch.columns).predict(batch.rows),
    close: async () => {
      isClosed = true;
    },
  };
}

/** What `compileOutput` makes the same value of again. */
function answerOf(value: Value): number | string {
  if (value === null) return Number.NaN;
  if (typeof value === "bigint") return Number(value);
  return typeof value === "string" || typeof value === "number" ? value : Number(value);
}

function mismatch(model: ModelMeta, name: string, type: ColumnTypeSpec): Error {
  return modelError(
    "MODEL_OUTPUT_MISMATCH",
    `The function of model '${model.name}' did not answer an object whose '${name}' is of type ${type.kind}.`,
    { details: { model: model.name, column: name } },
  );
}
