import type { InferSchema, Schema } from "./column-type.ts";
import { type Duration, durationMs } from "./duration.ts";
import { millraceError } from "./errors.ts";
import type { AnyFeatureService, FeatureServiceMeta, InferLookup, InferRow } from "./feature-service.ts";
import { Meta } from "./meta.ts";
import { checkName } from "./names.ts";
import type { ColumnTypeSpec, Value } from "./value.ts";

/** Where a model's versions come from, as data. */
export interface ModelFolderLocation {
  readonly location: "folder";
  /** A folder in MLflow model format, or one that holds such folders, one per version. */
  readonly path: string;
  /** Which of the configuration's `connections.scoring` predicts; null: Millrace itself. */
  readonly scoring: string | null;
}
/** A registered model of an MLflow server, or of a file store without one. */
export interface MlflowModelLocation {
  readonly location: "mlflow";
  /** Which of the configuration's `connections.mlflow`. */
  readonly server: string;
  readonly name: string;
  /** Which version serves: the one that an alias points to, a fixed one, or the newest. */
  readonly follow: { readonly alias: string } | { readonly version: string } | "newest";
  /** Which of the configuration's `connections.scoring` predicts; null: Millrace itself. */
  readonly scoring: string | null;
}
/** A model that another server has and predicts with. */
export interface ScoringServerLocation {
  readonly location: "scoring_server";
  /** Which of the configuration's `connections.scoring`. */
  readonly scoring: string;
  /** What its version is called; null: what the server calls it, or `"live"`. */
  readonly version: string | null;
}
/** A function of the declarations. */
export interface FunctionLocation {
  readonly location: "function";
  /** Null: a hash of the function's text. */
  readonly version: string | null;
}
/** Where a model may be declared to come from. */
export type ModelSourceLocation = ModelFolderLocation | MlflowModelLocation | ScoringServerLocation;
export type ModelLocation = ModelSourceLocation | FunctionLocation;

/**
 * A folder in MLflow model format, or a folder of such folders named by version; the newest version serves. `scoring`
 * names the server that predicts, see {@link mlflowModel}.
 */
export function modelFolder(path: string, options: { readonly scoring?: string } = {}): ModelFolderLocation {
  return Object.freeze({ location: "folder", path, scoring: options.scoring ?? null });
}

/**
 * A registered model of MLflow: the version that `alias` points to, or `version`, or (default) the newest one. Where the
 * server is and its secrets are in the configuration (`connections.mlflow`), not here: the declarations are kept in the
 * registry. `server` (default `"default"`) names one of several.
 *
 * A model that Millrace does not evaluate itself (scikit-learn, any `python_function`) names with `scoring` a server of
 * the configuration (`connections.scoring`) that predicts in its stead. Signature, input example and millrace.json are
 * the registry's all the same; its pickles are neither fetched nor opened. See that the server has the same version:
 * `{version}` in its URL stands for it.
 */
export function mlflowModel(options: {
  readonly name: string;
  readonly alias?: string;
  readonly version?: string | number;
  readonly server?: string;
  readonly scoring?: string;
}): MlflowModelLocation {
  const { name, alias, version, server = "default", scoring = null } = options;
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
  return Object.freeze({ location: "mlflow", server, name, follow, scoring });
}

/**
 * A model that a server of the configuration (`connections.scoring`) has: MLflow's scoring server or one that speaks the
 * Open Inference Protocol. It reads the service's columns by their names. `version` is what its answers say; default:
 * what the server calls it, or `"live"`.
 */
export function scoringServer(
  options: { readonly scoring?: string; readonly version?: string } = {},
): ScoringServerLocation {
  const { scoring = "default", version = null } = options;
  return Object.freeze({ location: "scoring_server", scoring, version });
}

export interface ModelMeta {
  readonly kind: "model";
  readonly name: string;
  readonly service: FeatureServiceMeta;
  /** In the order of the model's outputs. */
  readonly output: readonly { readonly name: string; readonly type: ColumnTypeSpec }[];
  readonly location: ModelLocation;
  /** Of a model that is a function; else null. */
  readonly predict: ((row: never) => unknown) | null;
  readonly timeoutMs: number | null;
  readonly fallback: Readonly<Record<string, Value>> | null;
  /** The share of rows that the prediction log keeps, 0 to 1. */
  readonly logSampleRate: number;
  /** Lookup columns and features whose values are kept neither by the prediction log nor by what watches quality. */
  readonly logRedact: readonly string[];
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

/** Where a model's answers come from: versions from somewhere, or a function of the declarations. */
export type ModelOrigin<Row, Output> =
  | { readonly source: ModelSourceLocation; readonly predict?: never; readonly version?: never }
  | {
      /**
       * Answers one row; it may be asynchronous, and use whatever the declarations' module has. It runs in the serving
       * process only: unlike `derive` it need not be pure.
       */
      readonly predict: (row: Row) => Output | Promise<Output>;
      /** What the answers say. Default: a hash of the function's text. */
      readonly version?: string;
      readonly source?: never;
    };

/** Declares a model that reads a feature service. */
export function model<S extends AnyFeatureService, const O extends Schema>(
  name: string,
  options: {
    readonly inputs: S;
    readonly output: O;
    /** From the request's arrival; then `fallback`, or error `DEADLINE_EXCEEDED`. Default: none. */
    readonly timeout?: Duration;
    /** The answer when the model cannot answer in time. */
    readonly fallback?: InferSchema<O>;
    readonly predictionLog?: {
      /** Keeps this share of the rows, 0 to 1, with what was read for them, so that it can be checked. Default 0. */
      readonly sampleRate?: number;
      /**
       * Lookup columns and features whose values are kept nowhere: not in the log, and not by what watches the quality of
       * rows. A feature takes with it what it is computed from. Default: none.
       */
      readonly redact?: readonly ((keyof InferLookup<S> | keyof InferRow<S>) & string)[];
    };
    readonly description?: string;
    readonly owner?: string;
    readonly tags?: Readonly<Record<string, string>>;
  } & ModelOrigin<InferRow<S>, InferSchema<O>>,
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
  const logRedact = (options.predictionLog?.redact ?? []) as readonly string[];
  const redactable = [...options.inputs[Meta].lookup, ...options.inputs[Meta].features].map((column) => column.name);
  const unknown = logRedact.find((column) => !redactable.includes(column));
  if (unknown !== undefined) {
    throw millraceError(
      "DEFINITION_INVALID",
      `predictionLog.redact of model '${name}' names '${unknown}', which is neither a lookup column nor a feature of its service: known are ${[...new Set(redactable)].join(", ")}.`,
    );
  }
  const { source, predict, version } = options;
  if ((source === undefined) === (predict === undefined) || (predict !== undefined && typeof predict !== "function")) {
    throw millraceError(
      "DEFINITION_INVALID",
      `Model '${name}' needs one of source (where its versions come from) and predict (a function that answers a row).`,
    );
  }
  return Object.freeze({
    [Meta]: Object.freeze({
      kind: "model",
      name,
      service: options.inputs[Meta],
      output,
      location: source ?? { location: "function" as const, version: version ?? null },
      predict: (predict as ModelMeta["predict"] | undefined) ?? null,
      timeoutMs: options.timeout === undefined ? null : durationMs(options.timeout),
      fallback: (options.fallback as Readonly<Record<string, Value>> | undefined) ?? null,
      logSampleRate,
      logRedact,
      description: options.description ?? "",
      owner: options.owner ?? "",
      tags: options.tags ?? {},
    } as const),
  });
}
