import { millraceError } from "../definitions/errors.ts";
import { DEAD_LETTER_THRESHOLD, type DeadLetterThreshold } from "../ingestion/dead-letter-share.ts";

/** Above which share of messages that cannot be used a source stops. */
export interface DeadLetterConfig extends Partial<DeadLetterThreshold> {
  /** Other values for some sources. */
  readonly sources?: Readonly<Record<string, Partial<DeadLetterThreshold>>>;
}

/** The threshold of every source, and those of some. */
export interface DeadLetterThresholds extends DeadLetterThreshold {
  readonly sources: Readonly<Record<string, DeadLetterThreshold>>;
}

export const DEAD_LETTER_NAMES: readonly string[] = ["share", "over", "sources"];
export const DEAD_LETTER_VARIABLES: readonly string[] = ["MILLRACE_DEAD_LETTER_SHARE"];

/** The last messages that are looked at are kept in memory, a byte each. */
const MOST_OVER = 1_000_000;

/** @throws `CONFIG_INVALID` */
export function resolveDeadLetters(
  given: DeadLetterConfig | undefined,
  env: Readonly<Record<string, string | undefined>>,
): DeadLetterThresholds {
  const { sources = {}, ...all } = given ?? {};
  const asked = env.MILLRACE_DEAD_LETTER_SHARE;
  const every = thresholdOf("deadLetters", all, DEAD_LETTER_THRESHOLD);
  const share = asked === undefined ? every.share : asked.trim() === "" ? Number.NaN : Number(asked);
  checkShare("the variable MILLRACE_DEAD_LETTER_SHARE", share);
  const common = { ...every, share };
  if (typeof sources !== "object" || sources === null) throw invalid("deadLetters.sources", "an object by source");
  return {
    ...common,
    sources: Object.fromEntries(
      Object.entries(sources).map(([name, own]) => [name, thresholdOf(`deadLetters.sources.${name}`, own, common)]),
    ),
  };
}

/** A source's threshold. */
export function deadLetterThresholdOf(thresholds: DeadLetterThresholds, source: string): DeadLetterThreshold {
  const { share, over } = thresholds.sources[source] ?? thresholds;
  return { share, over };
}

function thresholdOf(
  name: string,
  given: Partial<DeadLetterThreshold>,
  fallback: DeadLetterThreshold,
): DeadLetterThreshold {
  if (typeof given !== "object" || given === null) throw invalid(name, "an object such as { share: 0.9, over: 1000 }");
  const unknown = Object.keys(given).find((key) => key !== "share" && key !== "over");
  if (unknown !== undefined) {
    throw millraceError("CONFIG_INVALID", `The configuration has no '${name}.${unknown}': known here are share, over.`);
  }
  const { share = fallback.share, over = fallback.over } = given;
  checkShare(`${name}.share`, share);
  if (Number.isInteger(over) && over >= 1 && over <= MOST_OVER) return { share, over };
  throw invalid(`${name}.over`, `a whole number of messages from 1 to ${MOST_OVER}`);
}

function checkShare(name: string, share: unknown): void {
  if (typeof share !== "number" || !(share >= 0 && share <= 1)) {
    throw invalid(name, "a number from 0 (stop at the first) to 1 (never stop)");
  }
}

function invalid(name: string, expected: string): Error {
  return millraceError("CONFIG_INVALID", `${name} must be ${expected}.`, { details: { name } });
}
