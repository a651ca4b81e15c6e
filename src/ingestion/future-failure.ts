import type { DecodeFailure } from "./stream-message.ts";

/** Why an event that claims to be from the future is not taken; null if it is within the bound. */
export function futureFailure(eventTime: number, arrival: number, boundMs: number | null): DecodeFailure | null {
  if (boundMs === null || eventTime - arrival <= boundMs) return null;
  const ahead = Math.round((eventTime - arrival) / 1000);
  return {
    code: "EVENT_TIME_IN_FUTURE",
    reason:
      `The event time ${new Date(eventTime).toISOString()} is ${ahead} s ahead of its arrival; ` +
      `at most ${boundMs / 1000} s are allowed. Check the producer's clock and the column's unit.`,
  };
}
