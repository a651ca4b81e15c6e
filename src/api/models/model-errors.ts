import {
  isMillraceError,
  type MillraceError,
  type MillraceErrorOptions,
  millraceError,
} from "../../definitions/errors.ts";

/** Every code that loading or running a model can fail with. */
export type ModelErrorCode =
  /** The bytes are not a whole model of the format that they claim: load a fresh copy. */
  | "MODEL_CORRUPT"
  /** A sound model that uses something Millrace does not evaluate. */
  | "MODEL_UNSUPPORTED"
  /** The MLflow flavor is not one that Millrace loads. */
  | "MODEL_FLAVOR_UNSUPPORTED"
  /** The folder, its `MLmodel` or the file that it names does not exist. */
  | "MODEL_NOT_FOUND"
  /** `MLmodel` names a file outside its own folder. */
  | "MODEL_PATH_OUTSIDE"
  /** A file is larger than the limit given to the loader. */
  | "MODEL_TOO_LARGE"
  /** An optional package that runs this kind of model is not installed. */
  | "MODEL_RUNTIME_MISSING"
  /** The columns offered do not fit the model's inputs. */
  | "SIGNATURE_MISMATCH"
  /** A value has a type that the model's input cannot take. */
  | "MODEL_INPUT_INVALID"
  /** The model's runtime failed while predicting. */
  | "MODEL_RUN_FAILED"
  /** The runner was used after `close()`. */
  | "MODEL_CLOSED"
  /** No model of that name is declared. */
  | "MODEL_UNKNOWN"
  /** No version of the model could be loaded yet. */
  | "MODEL_NOT_READY"
  /** The model does not fit the feature service that it is declared to read. */
  | "MODEL_SERVICE_MISMATCH"
  /** The model's answers do not fit the output columns that it is declared to have. */
  | "MODEL_OUTPUT_MISMATCH"
  /** The model has no such version. */
  | "MODEL_VERSION_UNKNOWN"
  /** The model has no version to go back to. */
  | "MODEL_NO_PREVIOUS"
  /** The files of a version changed while they were read: the next poll sees what they became. */
  | "MODEL_VERSION_CHANGED"
  /** A server that models come from, or that predicts for them, does not answer, or answers with what it should not. */
  | "MODEL_SERVER_UNAVAILABLE"
  /** A server that models come from, or that predicts for them, refuses the configured user or token. */
  | "MODEL_SERVER_DENIED"
  /** The configuration does not say where a declared server is, or the artifacts are where Millrace cannot read. */
  | "MODEL_SERVER_UNKNOWN"
  /** The disk that downloaded models are kept on takes nothing. */
  | "MODEL_CACHE_UNAVAILABLE"
  /** A webhook that is not signed by a configured server, or not now. */
  | "WEBHOOK_REFUSED"
  /** The model's declared timeout passed and it declares no fallback. */
  | "DEADLINE_EXCEEDED";

/** Makes a `MillraceError` with one of the codes of this folder. */
export function modelError(code: ModelErrorCode, message: string, options?: MillraceErrorOptions): MillraceError {
  return millraceError(code, message, options);
}

/** The error of bytes that are not the model they claim to be. `what` is a clause without a full stop. */
export function corruptModel(what: string, options?: MillraceErrorOptions): MillraceError {
  return modelError(
    "MODEL_CORRUPT",
    `The model file cannot be read: ${what}. It is truncated, damaged or not of the format that its folder says; save or download it again.`,
    options,
  );
}

/** An error as another thread can be told of it. */
export type PortableModelError = Pick<MillraceError, "code" | "message" | "kind" | "details">;

export function portableModelError(error: unknown): PortableModelError {
  const message = error instanceof Error ? error.message : String(error);
  if (!isMillraceError(error)) return { code: "INTERNAL", kind: "bug", details: {}, message };
  const { code, kind, details } = error;
  return { code, kind, details: { ...details }, message };
}
