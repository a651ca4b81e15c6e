export type BreakerState = "closed" | "open" | "half_open";

export interface CircuitBreakerOptions {
  /** So many failures in a row open it. */
  readonly failures: number;
  /** How long it stays open the first time, milliseconds; each time that the trial fails, twice as long, up to 16 times. */
  readonly openMs: number;
  /** Monotonic clock, milliseconds. */
  readonly now: () => number;
  readonly onChange: (state: BreakerState) => void;
}

/** Keeps a server that fails from being asked all the time. */
export interface CircuitBreaker {
  readonly state: BreakerState;
  /** True if a request may go out. Half open, one may: its outcome decides. */
  admits(): boolean;
  succeeded(): void;
  failed(): void;
  /** The request ended in a way that says nothing of the server. */
  abandoned(): void;
  /** Until a trial may go out, milliseconds. */
  readonly waitMs: number;
}

const MAX_FACTOR = 16;

export function circuitBreaker({ failures, openMs, now, onChange }: CircuitBreakerOptions): CircuitBreaker {
  let state: BreakerState = "closed";
  let inARow = 0;
  let openUntil = 0;
  let factor = 1;

  function become(next: BreakerState): void {
    if (next === state) return;
    state = next;
    onChange(next);
  }

  function open(): void {
    openUntil = now() + openMs * factor;
    factor = Math.min(MAX_FACTOR, factor * 2);
    become("open");
  }

  return {
    get state() {
      return state;
    },
    get waitMs() {
      return state === "open" ? Math.max(0, openUntil - now()) : 0;
    },
    admits() {
      if (state === "closed") return true;
      if (state === "half_open" || now() < openUntil) return false;
      become("half_open");
      return true;
    },
    succeeded() {
      // An answer to a request from before it opened does not close it.
      if (state === "open") return;
      inARow = 0;
      factor = 1;
      become("closed");
    },
    failed() {
      if (state === "half_open") return open();
      if (state === "open") return;
      inARow++;
      if (inARow >= failures) {
        inARow = 0;
        open();
      }
    },
    abandoned() {
      if (state !== "half_open") return;
      openUntil = 0;
      become("open");
    },
  };
}
