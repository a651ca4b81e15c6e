import { toProblem } from "../problem.ts";

/** Feast's exceptions (module `feast.errors`) that say the same as one of our codes; the rest are its base class. */
const CLASSES: Readonly<Record<string, string>> = {
  VIEW_UNKNOWN: "FeatureViewNotFoundException",
  SERVICE_UNKNOWN: "FeatureServiceNotFoundException",
  SOURCE_UNKNOWN: "PushSourceNotFoundException",
  FEATURE_NAME_COLLISION: "FeatureNameCollisionError",
};

/** An error as Feast's client reads it: JSON text within a JSON string; the client raises the class that it names. */
export function toFeastError(
  error: unknown,
  requestId: string,
): { readonly status: number; readonly body: string; readonly retryAfter: number | null } {
  const { status, body, retryAfter } = toProblem(error, requestId);
  const { code, detail } = JSON.parse(body) as { readonly code: string; readonly detail: string };
  const name = Object.hasOwn(CLASSES, code) ? CLASSES[code]! : "FeastError";
  const told = { module: "feast.errors", class: name, message: `${code}: ${detail}`, code };
  return { status, retryAfter, body: JSON.stringify(JSON.stringify(told)) };
}
