import { ingestionError } from "../ingestion-error.ts";

/** A source's side of a {@link ReplayClock}. A source reports, the clock releases. */
export interface ReplayGate {
  /** The source is open; its next event is at `next`, Infinity if it has none. */
  opened(next: number): void;
  /** Events with an event time below this may be handed on now. */
  released(): number;
  /** Resolves when an event at `eventTime` may be handed on; rejects with the signal's reason. */
  wait(eventTime: number, signal: AbortSignal): Promise<void>;
  /** Everything below `next` was handed on; `pending` says whether some of it is not committed yet. */
  report(next: number, pending: boolean): void;
  /** The source will deliver nothing more in this run: whoever waits for what it did not deliver is told. */
  leave(): void;
}

/**
 * The clock that several replays share: it says which events are released, and when all of them were handed on and
 * committed. All times are epoch milliseconds of event time.
 */
export interface ReplayClock {
  /** Events with `event_time < limit` are released as far as the speed allows; −Infinity holds all, Infinity none. */
  readonly limit: number;
  /** Where the replay is in event time by its speed; Infinity flat out, −Infinity before all sources have opened. */
  virtualTime(): number;
  /** Moves the limit forward; a smaller `t` changes nothing. */
  advanceTo(t: number): void;
  /** Takes the limit away. */
  release(): void;
  /**
   * Resolves when every registered source has handed on all its events before `t` and their handlers have resolved.
   * Does not move the limit. Rejects with `REPLAY_SOURCE_LEFT` if a source stopped before that.
   */
  settled(t: number): Promise<void>;
  /** Adds a source, from now on waited for; a source of the same name takes its place. */
  register(name: string): ReplayGate;
}

export interface ReplayClockOptions {
  /** Seconds of event time per second: 1 is real time, 60 a minute per second. Default `max`: flat out. */
  readonly speed?: number | "max";
  /** Starts with everything held back, until `advanceTo` or `release`. Default false. */
  readonly hold?: boolean;
  /** How far in event time (ms) a source may be ahead of the slowest other one. Default: not bounded. */
  readonly maxSkewMs?: number;
  /** Wall clock, ms; for tests. */
  readonly now?: () => number;
  /** Calls back after some ms, returns what cancels it; for tests. */
  readonly setTimer?: (callback: () => void, ms: number) => () => void;
}

interface Source {
  readonly name: string;
  open: boolean;
  left: boolean;
  next: number;
  pending: boolean;
}

interface Waiter {
  readonly source: Source;
  readonly eventTime: number;
  readonly resolve: () => void;
}

interface Settling {
  readonly t: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Longest timer of the platform, ms: longer ones fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

function realTimer(callback: () => void, ms: number): () => void {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}

/** Makes a clock for replays that keep in step, or that a driver holds and releases. */
export function replayClock(options: ReplayClockOptions = {}): ReplayClock {
  const speed = options.speed ?? "max";
  const maxSkewMs = options.maxSkewMs ?? Number.POSITIVE_INFINITY;
  const now = options.now ?? Date.now;
  const setTimer = options.setTimer ?? realTimer;
  const sources = new Map<string, Source>();
  const waiters = new Set<Waiter>();
  const settling = new Set<Settling>();
  let limit = options.hold === true ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  /** Virtual time ran from `virtual` at the wall time `wall`; null before all sources have opened. */
  let anchor: { readonly wall: number; readonly virtual: number } | null = null;
  let cancelTimer: (() => void) | null = null;

  const virtualTime = (): number => {
    if (speed === "max") return Number.POSITIVE_INFINITY;
    if (anchor === null) return Number.NEGATIVE_INFINITY;
    // Virtual time stands still at the limit, so that nothing is hurried through after a hold.
    return Math.min(anchor.virtual + (now() - anchor.wall) * speed, Math.max(limit, anchor.virtual));
  };

  const releasedFor = (source: Source): number => {
    let bound = limit;
    // Event times are whole milliseconds: what is at the virtual time is due.
    if (speed !== "max") bound = Math.min(bound, Math.floor(virtualTime()) + 1);
    if (maxSkewMs !== Number.POSITIVE_INFINITY) {
      for (const other of sources.values()) {
        if (other === source || other.left) continue;
        bound = Math.min(bound, (other.open ? other.next : Number.NEGATIVE_INFINITY) + maxSkewMs + 1);
      }
    }
    return bound;
  };

  const startIfAllOpen = (): void => {
    if (speed === "max" || anchor !== null) return;
    let first = Number.POSITIVE_INFINITY;
    for (const source of sources.values()) {
      if (!source.open && !source.left) return;
      if (!source.left && source.next > Number.NEGATIVE_INFINITY) first = Math.min(first, source.next);
    }
    if (first !== Number.POSITIVE_INFINITY) anchor = { wall: now(), virtual: first };
  };

  const checkSettled = (): void => {
    for (const waiting of settling) {
      let done = true;
      for (const source of sources.values()) {
        if (source.open && !source.pending && source.next >= waiting.t) continue;
        done = false;
        if (!source.left) continue;
        settling.delete(waiting);
        waiting.reject(
          ingestionError(
            "REPLAY_SOURCE_LEFT",
            `The replay of "${source.name}" stopped before it had delivered all events before ` +
              `${Number.isFinite(waiting.t) ? new Date(waiting.t).toISOString() : "the end"}: see its own error.`,
            { kind: "operational", details: { source: source.name } },
          ),
        );
        break;
      }
      if (done) {
        settling.delete(waiting);
        waiting.resolve();
      }
    }
  };

  const armTimer = (): void => {
    cancelTimer?.();
    cancelTimer = null;
    if (speed === "max" || anchor === null) return;
    const virtual = virtualTime();
    let ms = Number.POSITIVE_INFINITY;
    for (const waiter of waiters) {
      if (waiter.eventTime < releasedFor(waiter.source)) ms = 0;
      else if (waiter.eventTime > virtual && waiter.eventTime < limit) {
        ms = Math.min(ms, Math.ceil((waiter.eventTime - virtual) / speed));
      }
    }
    if (ms === Number.POSITIVE_INFINITY) return;
    cancelTimer = setTimer(changed, Math.min(ms, MAX_TIMER_MS));
  };

  function changed(): void {
    startIfAllOpen();
    for (const waiter of waiters) {
      if (waiter.eventTime >= releasedFor(waiter.source)) continue;
      waiters.delete(waiter);
      waiter.resolve();
    }
    armTimer();
    checkSettled();
  }

  const moveLimit = (t: number): void => {
    if (!(t > limit)) return;
    const virtual = virtualTime();
    if (anchor !== null && speed !== "max") anchor = { wall: now(), virtual };
    limit = t;
    changed();
  };

  const wait = (source: Source, eventTime: number, signal: AbortSignal): Promise<void> => {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (eventTime < releasedFor(source)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        waiters.delete(waiter);
        armTimer();
        reject(signal.reason);
      };
      const waiter: Waiter = {
        source,
        eventTime,
        resolve: () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      waiters.add(waiter);
      armTimer();
    });
  };

  const register = (name: string): ReplayGate => {
    const source: Source = { name, open: false, left: false, next: Number.NEGATIVE_INFINITY, pending: false };
    sources.set(name, source);
    return {
      opened: (next) => {
        source.open = true;
        source.left = false;
        source.next = next;
        source.pending = false;
        changed();
      },
      released: () => releasedFor(source),
      wait: (eventTime, signal) => wait(source, eventTime, signal),
      report: (next, pending) => {
        source.next = next;
        source.pending = pending;
        changed();
      },
      leave: () => {
        source.left = true;
        changed();
      },
    };
  };

  return {
    get limit() {
      return limit;
    },
    virtualTime,
    advanceTo: moveLimit,
    release: () => moveLimit(Number.POSITIVE_INFINITY),
    settled: (t) =>
      new Promise((resolve, reject) => {
        settling.add({ t, resolve, reject });
        checkSettled();
      }),
    register,
  };
}
