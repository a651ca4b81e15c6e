/** Above which share of bad messages a stream stops. */
export interface DeadLetterThreshold {
  /** 0 to 1: more than `share × over` bad messages among the last `over` stop the stream. */
  readonly share: number;
  /** How many messages are looked at, a whole number. */
  readonly over: number;
}

/** Counts the bad among the last `over` messages. */
export interface DeadLetterShare {
  /** Notes one message; true if there are now too many bad ones. */
  note(bad: boolean): boolean;
  readonly bad: number;
}

/** Makes the sliding count of a threshold. */
export function deadLetterShare(threshold: DeadLetterThreshold): DeadLetterShare {
  const ring = new Uint8Array(threshold.over);
  const most = threshold.share * threshold.over;
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
