import type { StoredValue } from "../feature_engineering/engine/feature-sink.ts";
import { decodeEntityState } from "../feature_engineering/windows/entity-state.ts";
import {
  createFeatureReader,
  createViewReading,
  type ViewReading,
} from "../feature_engineering/windows/read-features.ts";
import { readingSpan } from "../feature_engineering/windows/reading-span.ts";
import type { ViewLayout } from "../feature_engineering/windows/view-layout.ts";

/** What was read of one entity; one and the same object as long as it is the same. Not to be changed. */
export interface EntityReading extends Readonly<ViewReading> {
  /** What others made of the reading, by maker: it need not be made again while the reading is the same. */
  readonly made: Map<object, unknown>;
  /** Whether it is given again while it is the same; else what is made of it need not last. */
  readonly isKept: boolean;
}

/** Reads features of one view, and does not read a value again that gives the same. Never stale. */
export interface CachedReader {
  /** Of a value that was just fetched. `time`: epoch milliseconds. */
  read(key: Uint8Array, value: StoredValue, time: number): EntityReading;
  /** Of an entity without a value. Its `tooOld` is of this call, until the next. */
  absent(time: number, expiredBefore: number): EntityReading;
}

/** How many values all readers of a store remember together. */
export interface ReadingBudget {
  /** Entries left until everything is forgotten. */
  left: number;
  /** Counts how often that happened. */
  epoch: number;
}

interface KeptReading extends ViewReading {
  readonly made: Map<object, unknown>;
  readonly isKept: boolean;
}

interface Entry {
  readonly key: Uint8Array;
  revision: number;
  /** Null until the same revision is met again: what changes all the time is not worth keeping. */
  reading: KeptReading | null;
  /** That the reading is of. */
  bytes: Uint8Array;
  /** The reading holds for `after < t <= until`. */
  after: number;
  until: number;
}

const CAPACITY = 20_000;
const NO_BYTES = new Uint8Array(0);

export function createReadingBudget(): ReadingBudget {
  return { left: CAPACITY, epoch: 0 };
}

/** Makes a reader of those features whose indexes in `view.features` are `wanted`. */
export function createCachedReader(layout: ViewLayout, wanted: readonly number[], budget: ReadingBudget): CachedReader {
  const reader = createFeatureReader(layout, wanted);
  const missing = newReading(layout, false);
  /** By the hash of the key: of two keys with one hash, the later takes the place. */
  let entries = new Map<number, Entry>();
  let { epoch } = budget;

  function remember(hash: number, key: Uint8Array, revision: number): void {
    if (--budget.left < 0) {
      budget.left = CAPACITY;
      budget.epoch++;
    }
    if (epoch !== budget.epoch) {
      entries = new Map();
      epoch = budget.epoch;
    }
    entries.set(hash, { key, revision, reading: null, bytes: NO_BYTES, after: 0, until: 0 });
  }

  function readNow(value: StoredValue, time: number, isKept: boolean): KeptReading {
    const reading = newReading(layout, isKept);
    reader.fromBytes(value.bytes, time, reading);
    return reading;
  }

  return {
    read(key, value, time) {
      const hash = hashOf(key);
      const known = entries.get(hash);
      if (known === undefined || !isEqual(known.key, key)) {
        remember(hash, key, value.revision);
        return readNow(value, time, false);
      }
      if (known.revision !== value.revision) {
        known.revision = value.revision;
        known.reading = null;
        return readNow(value, time, false);
      }
      const holds = known.reading !== null && known.after < time && time <= known.until;
      // A value that was removed and made again starts at revision 1 again: the bytes tell.
      if (holds && Buffer.compare(known.bytes, value.bytes) === 0) return known.reading!;
      // A span is told in whole milliseconds.
      if (!Number.isInteger(time)) return readNow(value, time, false);
      const reading = readNow(value, time, true);
      const { after, until } = readingSpan(layout, decodeEntityState(layout, value.bytes), time);
      known.reading = reading;
      // Memory of its own: what was read may be a small part of a large buffer.
      known.bytes = value.bytes.slice();
      known.after = after;
      known.until = until;
      return reading;
    },
    absent(time, expiredBefore) {
      reader.fromState(null, time, missing, expiredBefore);
      return missing;
    },
  };
}

/** FNV-1a. Within this process only, so that it may be quick. */
function hashOf(key: Uint8Array): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key[i]!, 0x01000193);
  // Of 30 bits: V8 keeps these without memory of their own.
  return (hash ^ (hash >>> 15)) & 0x3fffffff;
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}

function newReading(layout: ViewLayout, isKept: boolean): KeptReading {
  return { ...createViewReading(layout), made: new Map(), isKept };
}
