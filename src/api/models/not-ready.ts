import type { MillraceError } from "../../definitions/errors.ts";
import type { ModelMeta } from "../../definitions/model.ts";
import { modelError } from "./model-errors.ts";
import type { VersionFailure } from "./version-loader.ts";

/** No version of the model can answer now, and why. */
export function notReady(model: ModelMeta, failure: VersionFailure | null, cause?: unknown): MillraceError {
  // The failure's own message may hold paths of the server, which are for its operator: GET /v1/models shows them.
  const why =
    failure === null
      ? "it is being loaded, or has none yet. Try again in a moment"
      : `the last attempt failed (${failure.code}): \`millrace models status ${model.name}\` says more to its operator`;
  return modelError("MODEL_NOT_READY", `No version of model '${model.name}' can answer: ${why}.`, {
    kind: "operational",
    cause,
    details: { model: model.name, ...(failure === null ? {} : { reason: failure.code }) },
  });
}

/** An operator took the model out of memory. */
export function unloaded(model: ModelMeta): MillraceError {
  return modelError(
    "MODEL_NOT_READY",
    `Model '${model.name}' was taken out of memory by an operator: load it again with \`millrace models load ${model.name}\`.`,
    { kind: "operational", details: { model: model.name, reason: "MODEL_UNLOADED" } },
  );
}
