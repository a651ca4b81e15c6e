import type { MillraceError } from "../../definitions/errors.ts";
import { modelError } from "./model-errors.ts";

/** The error of work that nobody waits for any more. */
export function deadlineExceeded(): MillraceError {
  return modelError(
    "DEADLINE_EXCEEDED",
    "The request's deadline passed before it was predicted, and what was left of the work was dropped. Send fewer rows at once, or allow more time (X-Request-Timeout-Ms).",
    { kind: "operational" },
  );
}
