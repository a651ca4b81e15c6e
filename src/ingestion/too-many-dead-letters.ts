import type { MillraceError } from "../definitions/errors.ts";
import type { DeadLetterThreshold } from "./dead-letter-share.ts";
import { ingestionError } from "./ingestion-error.ts";

/** How many reasons are told: the first ones that differ. */
export const TOLD_REASONS = 3;

/** `DEAD_LETTER_THRESHOLD`: a source was stopped, since too large a share of its messages cannot be used. */
export function tooManyDeadLetters(
  source: string,
  threshold: DeadLetterThreshold,
  bad: number,
  reasons: readonly string[],
): MillraceError {
  const told = reasons.slice(0, TOLD_REASONS).map((reason) => reason.replace(/\.$/, ""));
  return ingestionError(
    "DEAD_LETTER_THRESHOLD",
    `The source "${source}" was stopped: ${bad} of the last ${threshold.over} messages cannot be used, ` +
      `more than ${Math.round(threshold.share * 1e6) / 1e4}%. ` +
      `The first: ${told.join("; ") || "unknown"}. Correct the schema or the producer and start again: ` +
      `from there on messages are read again, and nothing is lost. Or raise deadLetters.share in the configuration, ` +
      `to set such messages aside.`,
    { kind: "operational", details: { source, bad, over: threshold.over } },
  );
}
