import { isMillraceError } from "../../definitions/errors.ts";
import type { UpdateCause } from "./model-versions.ts";
import type { VersionFailure } from "./version-loader.ts";

/** When what failed is tried again: after pauses that double, of random length. */
export interface LoadRetries {
  /** Null if it did not fail, or succeeded since. */
  failureOf(id: string): VersionFailure | null;
  isDue(id: string, cause: UpdateCause): boolean;
  failed(id: string, error: unknown, failure: VersionFailure): void;
  succeeded(id: string): void;
  /** Forgets all others. */
  keep(ids: ReadonlySet<string>): void;
}

/** First and longest pause, milliseconds: of what failed for the moment, and of what proved bad. */
const MOMENT = { first: 5_000, longest: 5 * 60_000 };
const BAD = { first: 60_000, longest: 3_600_000 };

interface Failed {
  readonly failure: VersionFailure;
  readonly isBad: boolean;
  readonly times: number;
  /** Monotonic clock, milliseconds. */
  readonly due: number;
}

/** `isBadForGood`: ids say what the content is, so that what proved bad stays so. */
export function loadRetries(isBadForGood: boolean): LoadRetries {
  const failed = new Map<string, Failed>();
  return {
    failureOf: (id) => failed.get(id)?.failure ?? null,
    isDue(id, cause) {
      const known = failed.get(id);
      if (known === undefined || cause === "asked") return true;
      return (cause === "told" && !known.isBad) || performance.now() >= known.due;
    },
    failed(id, error, failure) {
      const isBad = isMillraceError(error) && error.kind === "user";
      const { first, longest } = isBad ? BAD : MOMENT;
      const times = (failed.get(id)?.times ?? 0) + 1;
      const pause = Math.min(longest, first * 2 ** (times - 1)) * (0.5 + Math.random() / 2);
      const due = isBad && isBadForGood ? Number.POSITIVE_INFINITY : performance.now() + pause;
      failed.set(id, { failure, isBad, times, due });
    },
    succeeded(id) {
      failed.delete(id);
    },
    keep(ids) {
      for (const id of failed.keys()) if (!ids.has(id)) failed.delete(id);
    },
  };
}
