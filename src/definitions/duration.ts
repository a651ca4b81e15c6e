import { millraceError } from "./errors.ts";
import type { TypeProblem } from "./type-problem.ts";

export type DurationUnit = "ms" | "s" | "m" | "h" | "d";

/** A length of time such as `"5m"`: a whole number and a unit (`ms`, `s`, `m`, `h`, `d`). A bare number is never a duration. */
export type Duration = `${bigint}${DurationUnit}`;

/** `D` if it is a duration above zero, else a readable compile error. */
export type CheckedDuration<D> = D extends string
  ? D extends `-${string}` | `0${DurationUnit}`
    ? TypeProblem<`'${D}' is not a length of time: it must be above zero`>
    : D extends Duration
      ? D
      : TypeProblem<`'${D}' is not a length of time: write a whole number and a unit (ms, s, m, h, d), such as "5m"`>
  : TypeProblem<"a length of time is written as a string with a unit, such as '5m'">;

const UNIT_MS: Readonly<Record<DurationUnit, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * The milliseconds of a duration.
 * @throws `DURATION_INVALID` for anything but a positive whole number with a unit.
 */
export function durationMs(duration: string): number {
  const match = /^([1-9][0-9]{0,11})(ms|s|m|h|d)$/.exec(duration);
  if (match === null) {
    throw millraceError(
      "DURATION_INVALID",
      `'${String(duration)}' is not a length of time: write a positive whole number and a unit (ms, s, m, h, d), such as "5m".`,
    );
  }
  return Number(match[1]) * UNIT_MS[match[2] as DurationUnit];
}
