import { type MillraceError, millraceError } from "../../definitions/errors.ts";

/** What `standardize` learned: the mean and the population's standard deviation, 1 where that is 0. */
export interface FittedStandardize {
  readonly kind: "standardize";
  readonly mean: number;
  readonly stddev: number;
}

/** What `ordinal` without a list learned: the distinct texts, sorted by UTF-16 code units. */
export interface FittedOrdinal {
  readonly kind: "ordinal";
  readonly categories: readonly string[];
}

export type FittedTransform = FittedStandardize | FittedOrdinal;

/**
 * What a service's transforms learned from a training set, as plain JSON: the content of `millrace.json`. It travels
 * with the model that was trained on the set.
 */
export interface FittedState {
  readonly service: string;
  /** The service's hash when it was fitted; rows of a service with another hash are not what the model learned. */
  readonly service_hash: string;
  /** By the transform's id: the feature, the path within it, `:` and the step's index. */
  readonly transforms: Readonly<Record<string, FittedTransform>>;
}

/** One transform that is to be fitted. */
export interface FitSpec {
  readonly id: string;
  /** The service's feature. */
  readonly feature: string;
  readonly kind: FittedTransform["kind"];
  /** The pass over the training rows in which it is fitted, from 1: after the fitted transforms that it reads. */
  readonly pass: number;
}

/** What a fitted state must fit. */
export interface FittedService {
  readonly name: string;
  readonly hash: string;
  readonly fits: readonly FitSpec[];
}

/**
 * Reads fitted state from parsed JSON.
 *
 * @throws `FITTED_STATE_MISMATCH` if it is malformed, or of another service or another version of it.
 */
export function readFittedState(json: unknown, service: FittedService): FittedState {
  if (!isRecord(json) || typeof json.service !== "string" || typeof json.service_hash !== "string") {
    throw mismatch(service, "it has no service and service_hash");
  }
  if (json.service !== service.name) throw mismatch(service, `it was fitted for service '${json.service}'`);
  if (json.service_hash !== service.hash) {
    throw mismatch(
      service,
      `it was fitted for the service's version ${json.service_hash.slice(0, 12)}, the declared one is ${service.hash.slice(0, 12)}`,
    );
  }
  if (!isRecord(json.transforms)) throw mismatch(service, "it has no transforms");
  for (const fit of service.fits) {
    if (!Object.hasOwn(json.transforms, fit.id)) throw mismatch(service, `it lacks the transform '${fit.id}'`);
    if (!isFitted(json.transforms[fit.id], fit.kind)) {
      throw mismatch(service, `its transform '${fit.id}' is not a fitted ${fit.kind}`);
    }
  }
  // Every part that is read was checked above.
  return json as unknown as FittedState;
}

function isFitted(fitted: unknown, kind: FittedTransform["kind"]): boolean {
  if (!isRecord(fitted) || fitted.kind !== kind) return false;
  if (kind === "standardize") {
    return Number.isFinite(fitted.mean) && Number.isFinite(fitted.stddev) && (fitted.stddev as number) > 0;
  }
  return Array.isArray(fitted.categories) && fitted.categories.every((category) => typeof category === "string");
}

function isRecord(json: unknown): json is Readonly<Record<string, unknown>> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function mismatch(service: FittedService, why: string): MillraceError {
  return millraceError(
    "FITTED_STATE_MISMATCH",
    `The fitted state (millrace.json) does not fit service '${service.name}': ${why}. Make a training set of the declared service, train on it, and log its millrace.json with the model.`,
    { details: { service: service.name, service_hash: service.hash } },
  );
}
