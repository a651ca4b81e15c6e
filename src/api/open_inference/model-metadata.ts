import type { ModelMeta } from "../../definitions/model.ts";
import type { ColumnKind } from "../../definitions/value.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import type { ModelVersions } from "../models/model-versions.ts";
import { datatypeOf } from "./infer-answer.ts";

const PLATFORMS: Readonly<Record<string, string>> = {
  onnx: "onnxruntime_onnx",
  xgboost: "xgboost",
  lightgbm: "lightgbm",
};

/**
 * A model as the protocol describes it: what it reads, one tensor per column. The columns that a look-up takes instead
 * are in the parameters, since a request has one set or the other.
 */
export function modelMetadata({ model, serving }: ModelVersions, { row, service }: ServiceRuntime): object {
  return {
    name: model.name,
    versions: serving === null ? [] : [serving.version.version],
    platform: platformOf(serving?.flavor),
    inputs: row.columns.map(({ name, type }) => tensor(name, type.kind)),
    outputs: model.output.map(({ name, type }) => tensor(name, type.kind)),
    parameters: {
      content_type: "pd",
      service: service.name,
      keys: service.lookup.map(({ name, type }) => ({ name, datatype: datatypeOf(type.kind), shape: [-1, 1] })),
    },
  };
}

/** As much of Triton's model configuration as its clients look at. */
export function modelConfig(model: ModelMeta, { row }: ServiceRuntime, flavor: string | undefined): object {
  const of = (name: string, kind: ColumnKind): object => ({
    name,
    data_type: `TYPE_${datatypeOf(kind).replace("BYTES", "STRING")}`,
    dims: [-1, 1],
  });
  return {
    name: model.name,
    platform: platformOf(flavor),
    backend: "millrace",
    max_batch_size: 0,
    input: row.columns.map(({ name, type }) => of(name, type.kind)),
    output: model.output.map(({ name, type }) => of(name, type.kind)),
  };
}

function tensor(name: string, kind: ColumnKind): object {
  return { name, datatype: datatypeOf(kind), shape: [-1, 1] };
}

function platformOf(flavor: string | undefined): string {
  return flavor === undefined ? "" : (PLATFORMS[flavor] ?? flavor);
}
