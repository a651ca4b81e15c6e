import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import type { CategoryEncoding, FittedStep, LabelMeta } from "../../definitions/expression.ts";
import { isFitted, isRecord } from "./fitted-shape.ts";

/** What `standardize` learned: the mean and the population's standard deviation, 1 where that is 0. */
export interface FittedStandardize {
  readonly kind: "standardize";
  readonly mean: number;
  readonly stddev: number;
}

/** What a null becomes. */
export interface FittedImpute {
  readonly kind: "impute";
  readonly value: number;
}

export interface FittedMinMax {
  readonly kind: "min_max";
  readonly min: number;
  readonly max: number;
}

export interface FittedMaxAbs {
  readonly kind: "max_abs";
  readonly max_abs: number;
}

export interface FittedRobust {
  readonly kind: "robust";
  /** 0 where it is not subtracted. */
  readonly center: number;
  /** 1 where nothing is divided. */
  readonly scale: number;
}

export interface FittedQuantile {
  readonly kind: "quantile";
  /** In increasing order, evenly spaced in rank; empty if there was no value. */
  readonly quantiles: readonly number[];
}

export interface FittedPower {
  readonly kind: "power";
  readonly lambda: number;
  /** Of the transformed values; 0 and 1 where they are not standardized. */
  readonly mean: number;
  readonly stddev: number;
}

export interface FittedKBins {
  readonly kind: "k_bins";
  /** The edges between bins, in increasing order: a bin holds its lower edge. */
  readonly edges: readonly number[];
}

/** What `ordinal` without a list, or with infrequent categories, learned. */
export interface FittedOrdinal {
  readonly kind: "ordinal";
  /** The text of each code: sorted by UTF-16 code units, or in the declared order; a null that is a category is last. */
  readonly categories: readonly (string | null)[];
  /** The texts that share the next code. Absent: there is no such code. */
  readonly infrequent?: readonly (string | null)[];
}

export interface FittedImputeText {
  readonly kind: "impute_text";
  readonly value: string;
}

export interface FittedFrequency {
  readonly kind: "frequency";
  readonly categories: readonly (string | null)[];
  readonly counts: readonly number[];
  /** The sum of the counts. */
  readonly rows: number;
}

export interface FittedTarget {
  readonly kind: "target";
  readonly categories: readonly (string | null)[];
  /** Per class of the label (one without classes) the encoding of each category. */
  readonly encodings: readonly (readonly number[])[];
  /** Per class what unknown categories get. */
  readonly means: readonly number[];
}

export type FittedTransform =
  | FittedStandardize
  | FittedImpute
  | FittedMinMax
  | FittedMaxAbs
  | FittedRobust
  | FittedQuantile
  | FittedPower
  | FittedKBins
  | FittedOrdinal
  | FittedImputeText
  | FittedFrequency
  | FittedTarget;

/** What is to be fitted, as it was declared. `kind` is that of the fitted transform. */
export type FitRule =
  | { readonly kind: "step"; readonly step: FittedStep }
  | { readonly kind: "ordinal"; readonly categories: readonly string[] | null; readonly encoding: CategoryEncoding }
  | { readonly kind: "impute_text"; readonly values: readonly string[] | null }
  | { readonly kind: "frequency"; readonly relative: boolean; readonly nulls: "null" | "category" }
  | {
      readonly kind: "target";
      readonly label: LabelMeta;
      readonly classes: readonly string[] | null;
      readonly smooth: "auto" | number;
      readonly folds: number;
      readonly nulls: "null" | "category";
    };

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
  readonly rule: FitRule;
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
    if (!isFitted(json.transforms[fit.id], fit)) {
      throw mismatch(service, `its transform '${fit.id}' is not a fitted ${fit.kind}`);
    }
  }
  // Every part that is read was checked above.
  return json as unknown as FittedState;
}

function mismatch(service: FittedService, why: string): MillraceError {
  return millraceError(
    "FITTED_STATE_MISMATCH",
    `The fitted state (millrace.json) does not fit service '${service.name}': ${why}. Make a training set of the declared service, train on it, and log its millrace.json with the model.`,
    { details: { service: service.name, service_hash: service.hash } },
  );
}
