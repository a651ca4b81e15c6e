import type { StoredValue } from "../feature_engineering/engine/feature-sink.ts";

/** How long values of one view may be answered from this process's memory. */
export interface ViewCacheOptions {
  /** The oldest that an answer may be, milliseconds. */
  readonly maxStalenessMs: number;
  /** Entities that are kept at most. Default 10,000. */
  readonly maxEntries?: number;
}

/** A value as it was read from the store, null for none, and when. */
export interface CachedValue {
  readonly value: StoredValue | null;
  /** By the caller's clock, milliseconds. */
  readonly readAt: number;
}

/** The values of one view that were read lately: those that were put longest ago go first. */
export interface OnlineValueCache {
  /** Undefined if there is none that is young enough. */
  get(id: string, now: number): CachedValue | undefined;
  put(id: string, value: StoredValue | null, readAt: number): void;
  readonly maxStalenessMs: number;
}

export function createOnlineValueCache({ maxStalenessMs, maxEntries = 10_000 }: ViewCacheOptions): OnlineValueCache {
  const values = new Map<string, CachedValue>();
  return {
    maxStalenessMs,
    get(id, now) {
      const found = values.get(id);
      if (found === undefined) return undefined;
      if (now - found.readAt <= maxStalenessMs) return found;
      values.delete(id);
      return undefined;
    },
    put(id, value, readAt) {
      const known = values.get(id);
      // An answer that was under way for long may be older than what is there.
      if (known !== undefined && known.readAt > readAt) return;
      values.delete(id);
      // Memory of its own: what was read may be a small part of a large buffer.
      values.set(id, { value: value && { ...value, bytes: value.bytes.slice() }, readAt });
      if (values.size <= maxEntries) return;
      const [oldest] = values.keys();
      values.delete(oldest!);
    },
  };
}
