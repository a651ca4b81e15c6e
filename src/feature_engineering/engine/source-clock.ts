import type { SourceMeta } from "../../definitions/source.ts";
import type { LoggedEvent } from "./event-log.ts";
import type { FeatureSink } from "./feature-sink.ts";
import { metaNames } from "./meta-names.ts";

/** The clock of a source, which of a stream clock the hot store keeps beside the values. */
export interface SourceClock {
  /** Epoch milliseconds; −Infinity before the first event of a stream clock. */
  now(): number;
  /** The clock at each event; a stream clock moves with them: to the first instant after the largest event time. */
  advance(events: readonly LoggedEvent[]): Float64Array;
  /** Goes on from what the hot store keeps; null: it keeps none. */
  load(stored: string | null): void;
  write(): Promise<void>;
  /** Of the newest event, epoch milliseconds; null of a wall clock, and before the first event. */
  newestEventTime(): number | null;
}

export interface SourceClockOptions {
  readonly source: SourceMeta;
  readonly sink: FeatureSink;
  /** The wall clock; epoch milliseconds. */
  readonly now: () => number;
  /** Whether other processes write the clock too. */
  readonly isShared: boolean;
}

export function createSourceClock({ source, sink, now, isShared }: SourceClockOptions): SourceClock {
  const name = metaNames.clock(source.name);
  let streamClock = Number.NEGATIVE_INFINITY;
  return {
    now: () => (source.clock === "wall" ? now() : streamClock),
    advance(events) {
      const clocks = new Float64Array(events.length);
      if (source.clock === "wall") return clocks.fill(now());
      for (let i = 0; i < events.length; i++) {
        const after = events[i]!.eventTime + 1;
        if (after > streamClock) streamClock = after;
        clocks[i] = streamClock;
      }
      return clocks;
    },
    load(stored) {
      if (stored !== null) streamClock = Number(stored);
    },
    async write() {
      if (source.clock !== "stream") return;
      if (isShared) {
        // Of the clocks of all processes the largest counts; should two cross here, the next `tend` sets it right.
        const [stored] = await sink.readMeta([name]);
        if (stored != null && Number(stored) >= streamClock) {
          streamClock = Number(stored);
          return;
        }
      }
      if (streamClock !== Number.NEGATIVE_INFINITY) await sink.writeMeta(new Map([[name, String(streamClock)]]));
    },
    newestEventTime: () => (source.clock === "wall" || !Number.isFinite(streamClock) ? null : streamClock - 1),
  };
}
