/** Above which share of bad messages a stream stops. */
export interface DeadLetterThreshold {
  /** 0 to 1: more than `share × over` bad messages among the last `over` stop the stream. */
  readonly share: number;
  /** How many messages are looked at, a whole number. */
  readonly over: number;
}

/** What a source has if nothing is said: it stops above half of the last 1,000 messages. */
export const DEAD_LETTER_THRESHOLD: DeadLetterThreshold = { share: 0.5, over: 1_000 };

/** Counts the bad among the last `over` messages. */
export interface DeadLetterShare {
  /** Notes one message; true if there are now too many bad ones. */
  note(bad: boolean): boolean;
  readonly bad: number;
}

/** How many of the last `over` messages may be bad. */
export function mostBad({ share, over }: DeadLetterThreshold): number {
  // 0.29 × 100 is a little less than 29.
  return Math.floor(share * over + 1e-6);
}

/** Makes the sliding count of a threshold. */
export function deadLetterShare(threshold: DeadLetterThreshold): DeadLetterShare {
  const ring = new Uint8Array(threshold.over);
  const most = mostBad(threshold);
  let at = 0;
  let bad = 0;
  return {
    note: (isBad) => {
      bad += (isBad ? 1 : 0) - ring[at]!;
      ring[at] = isBad ? 1 : 0;
      at = at + 1 === ring.length ? 0 : at + 1;
      return isBad && bad > most;
    },
    get bad() {
      return bad;
    },
  };
}
