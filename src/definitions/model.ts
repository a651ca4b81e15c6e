import type { InferSchema, Schema } from "./column-type.ts";
import { type Duration, durationMs } from "./duration.ts";
import { millraceError } from "./errors.ts";
import type { AnyFeatureService, FeatureServiceMeta, InferLookup } from "./feature-service.ts";
import { Meta } from "./meta.ts";
import { checkName } from "./names.ts";
import type { ColumnTypeSpec, Value } from "./value.ts";

/** Where a model's versions come from, as data. */
export interface ModelFolderLocation {
  readonly location: "folder";
  /** A folder in MLflow model format, or one that holds such folders, one per version. */
  readonly path: string;
}
/** A registered model of an MLflow server, or of a file store without one. */
export interface MlflowModelLocation {
  readonly location: "mlflow";
  /** Which of the configuration's `connections.mlflow`. */
  readonly server: string;
  readonly name: string;
  /** Which version serves: the one that an alias points to, a fixed one, or the newest. */
  readonly follow: { readonly alias: string } | { readonly version: string } | "newest";
}
export type ModelLocation = ModelFolderLocation | MlflowModelLocation;

/** A folder in MLflow model format, or a folder of such folders named by version; the newest version serves. */
export function modelFolder(path: string): ModelFolderLocation {
  return Object.freeze({ location: "folder", path });
}

/**
 * A registered model of MLflow: the version that `alias` points to, or `version`, or (default) the newest one. Where the
 * server is and its secrets are in the configuration (`connections.mlflow`), not here: the declarations are kept in the
 * registry. `server` (default `"default"`) names one of several.
 */
export function mlflowModel(options: {
  readonly name: string;
  readonly alias?: string;
  readonly version?: string | number;
  readonly server?: string;
}): MlflowModelLocation {
  const { name, alias, version, server = "default" } = options;
  if (typeof name !== "string" || name === "") {
    throw millraceError("DEFINITION_INVALID", "mlflowModel({ name }) needs the name of a registered model.");
  }
  if (alias !== undefined && version !== undefined) {
    throw millraceError(
      "DEFINITION_INVALID",
      `mlflowModel({ name: "${name}" }) has an alias and a version: name one of them, or none for the newest version.`,
    );
  }
  if (version !== undefined && !/^[1-9]\d*$/.test(String(version))) {
    throw millraceError("DEFINITION_INVALID", `The version of MLflow's model "${name}" must be a whole number from 1.`);
  }
  const follow = alias !== undefined ? { alias } : version !== undefined ? { version: String(version) } : "newest";
  return Object.freeze({ location: "mlflow", server, name, follow });
}

export interface ModelMeta {
  readonly kind: "model";
  readonly name: string;
  readonly service: FeatureServiceMeta;
  /** In the order of the model's outputs. */
  readonly output: readonly { readonly name: string; readonly type: ColumnTypeSpec }[];
  readonly location: ModelLocation;
  readonly timeoutMs: number | null;
  readonly fallback: Readonly<Record<string, Value>> | null;
  /** The share of rows that the prediction log keeps, 0 to 1. */
  readonly logSampleRate: number;
  readonly description: string;
  readonly owner: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** A model: reads a feature service's row, answers the output's columns. */
export interface Model<in out In, out Out> {
  readonly [Meta]: ModelMeta;
  readonly "~in"?: (input: In) => In;
  readonly "~out"?: Out;
}

/** Declares a model that reads a feature service. */
export function model<S extends AnyFeatureService, const O extends Schema>(
  name: string,
  options: {
    readonly inputs: S;
    readonly output: O;
    readonly source: ModelLocation;
    /** From the request's arrival; then `fallback`, or error `DEADLINE_EXCEEDED`. Default: none. */
    readonly timeout?: Duration;
    /** The answer when the model cannot answer in time. */
    readonly fallback?: InferSchema<O>;
    /** Keeps this share of the rows, 0 to 1, with what was read for them, so that it can be checked. Default 0. */
    readonly predictionLog?: { readonly sampleRate: number };
    readonly description?: string;
    readonly owner?: string;
    readonly tags?: Readonly<Record<string, string>>;
  },
): Model<InferLookup<S>, InferSchema<O>> {
  checkName("a model", name);
  const output = Object.entries(options.output).map(([column, type]) => {
    checkName(`an output of model '${name}'`, column);
    return { name: column, type: type.spec };
  });
  if (output.length === 0) throw millraceError("DEFINITION_INVALID", `Model '${name}' has no output column.`);
  const logSampleRate = options.predictionLog?.sampleRate ?? 0;
  if (!(logSampleRate >= 0 && logSampleRate <= 1)) {
    throw millraceError("DEFINITION_INVALID", `The sampleRate of model '${name}' must be a number from 0 to 1.`);
  }
  return Object.freeze({
    [Meta]: Object.freeze({
      kind: "model",
      name,
      service: options.inputs[Meta],
      output,
      location: options.source,
      timeoutMs: options.timeout === undefined ? null : durationMs(options.timeout),
      fallback: (options.fallback as Readonly<Record<string, Value>> | undefined) ?? null,
      logSampleRate,
      description: options.description ?? "",
      owner: options.owner ?? "",
      tags: options.tags ?? {},
    } as const),
  });
}
