import { isMillraceError, millraceError } from "../definitions/errors.ts";
import type { FeatureStore } from "../feature_store/feature-store.ts";
import type { JsonObject } from "./request-body.ts";

/** Adds to an error of a lookup which row of the request it is about: `path` is then such as `rows[3].origin`. */
export function locateLookup(
  error: unknown,
  store: FeatureStore,
  service: string,
  rows: readonly JsonObject[],
): unknown {
  if (!isMillraceError(error) || !error.code.startsWith("LOOKUP_")) return error;
  const { readLookup } = store.service(service);
  for (let i = 0; i < rows.length; i++) {
    try {
      readLookup(rows[i]!);
    } catch (found) {
      if (!isMillraceError(found)) return error;
      const path = `rows[${i}].${String(found.details.column)}`;
      return millraceError(found.code, `${path}: ${found.message}`, { details: { ...found.details, path, row: i } });
    }
  }
  return error;
}
