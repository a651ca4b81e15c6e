import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import { MAX_CATEGORIES } from "./fitted-shape.ts";

/** Where a transform stands, for errors. */
export interface FitPlace {
  readonly service: string;
  readonly feature: string;
}

/** `FIT_OVERFLOW`: what a transform learns does not fit into a double. */
export function fitOverflow(place: FitPlace, what: string, step: string): MillraceError {
  return millraceError(
    "FIT_OVERFLOW",
    `Feature '${place.feature}' of service '${place.service}' cannot be fitted by ${step}: ${what} over the training set overflows a double. Add a log1p() or a clip(low, high) before it.`,
    { details: { service: place.service, feature: place.feature } },
  );
}

/** `FIT_TOO_LARGE`: more categories than a transform keeps. */
export function fitTooLarge(place: FitPlace): MillraceError {
  return millraceError(
    "FIT_TOO_LARGE",
    `Feature '${place.feature}' of service '${place.service}' has more than ${MAX_CATEGORIES} categories in the training set: a text that nearly identifies a row is no category. Use hash(buckets), or derive something coarser from it.`,
    { details: { service: place.service, feature: place.feature, limit: MAX_CATEGORIES } },
  );
}
