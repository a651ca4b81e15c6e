import { millraceError } from "../definitions/errors.ts";
import type { Value } from "../definitions/value.ts";
import { createByteWriter } from "../feature_engineering/encoding/byte-writer.ts";
import { encodeEntityKey } from "../feature_engineering/encoding/entity-key.ts";
import type { StoredValue, ValueKey } from "../feature_engineering/engine/feature-sink.ts";
import { expiredBefore } from "../feature_engineering/windows/fold-event.ts";
import { createViewReading, type FeatureStatus } from "../feature_engineering/windows/read-features.ts";
import { type CachedReader, createCachedReader, createReadingBudget, type EntityReading } from "./cached-reader.ts";
import type { FetchOptions, OnlineStore } from "./online/online-store.ts";
import { createFactReader, type Facts } from "./online-facts.ts";
import { createOnlineValueCache, type OnlineValueCache, type ViewCacheOptions } from "./online-value-cache.ts";
import type { ServiceRuntime } from "./service-runtime.ts";

export interface OnlineReadOptions {
  /** How long a read of the hot store may take, milliseconds. Default: as long as the store's commands. */
  readonly deadlineMs?: number;
  /**
   * What is answered where the store, or a part of it, does not answer in time or is away: `error` (default;
   * `ONLINE_STORE_TIMEOUT`, `ONLINE_STORE_UNAVAILABLE`), or `partial`: features that could not be read are null, with
   * the status `UNAVAILABLE`, whatever their default.
   */
  readonly fallback?: "error" | "partial";
  /** By view: answer from this process's memory what was read lately. `exact` reads do not. Default: nothing. */
  readonly cache?: Readonly<Record<string, ViewCacheOptions>>;
}

/** The inputs of rows, before transforms, as read from the hot store at one moment. */
export interface OnlineInputs {
  /** The moment t, epoch milliseconds. */
  readonly time: number;
  /** Per row, one value per input slot. Not to be changed: they may be those of a reading. */
  readonly inputs: readonly (readonly Value[])[];
  /** Per row, one status per input slot. Not to be changed. */
  readonly statuses: readonly (readonly FeatureStatus[])[];
  /** Per row: an event at or after t was applied already, so the newest tile may hold more than the window. */
  readonly headOverlap: boolean[];
  /** Per row and lookup of the service, row by row. */
  readonly readings: readonly EntityReading[];
  /** Values that the store gave and that were found and unexpired, and the rest of what it was asked for. */
  readonly hits: number;
  readonly misses: number;
  /** Values that the store did not give in time. */
  readonly unavailable: number;
  readonly cacheHits: number;
  /** Of views with a cache. */
  readonly cacheMisses: number;
  /** How long ago the oldest answer from the cache was read. */
  readonly cacheAgeSeconds: number;
  /** Per row and lookup of the service, row by row: what was read; null where the lookup has no key. */
  readonly reads: () => readonly (ReadValue | null)[];
}

/** What the hot store had under a key. */
export interface ReadValue extends ValueKey {
  readonly value: StoredValue | null;
}

export interface OnlineReader {
  /**
   * Reads every view of the service for all lookup rows in one round trip, at `asOf` (epoch milliseconds; null: at the
   * clock of the service's sources, which comes with the same round trip).
   * @throws `AS_OF_TOO_OLD` if a needed tile was dropped; `AS_OF_TOO_EARLY` if `exact` and an event at or after t was
   * applied; and what the store throws.
   */
  read(
    service: ServiceRuntime,
    lookups: readonly (readonly Value[])[],
    asOf: number | null,
    exact: boolean,
  ): Promise<OnlineInputs>;
}

interface LookupReader {
  readonly reader: CachedReader;
  readonly cache: OnlineValueCache | null;
  /** The reading of what is not known. */
  readonly unknown: EntityReading;
}

/** What was found, by row and lookup. */
interface Found {
  /** Null for a null key, which belongs to no entity. */
  readonly keys: (ValueKey | null)[];
  /** Null for none, undefined if it is not known. */
  readonly values: (StoredValue | null | undefined)[];
  readonly isCached: boolean[] | null;
  readonly facts: Facts;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  /** When the oldest cached value was read; by the wall clock, milliseconds. */
  readonly oldest: number;
}

const NOTHING: unknown[] = [];

/** `now` is the wall clock, epoch milliseconds. */
export function createOnlineReader(
  store: OnlineStore,
  now: () => number,
  options: OnlineReadOptions = {},
): OnlineReader {
  const out = createByteWriter(256);
  const budget = createReadingBudget();
  const readers = new WeakMap<ServiceRuntime, LookupReader[]>();
  const facts = createFactReader(now);
  const caches = new Map(
    Object.entries(options.cache ?? {}).map(([view, cache]) => [view, createOnlineValueCache(cache)]),
  );
  const fetchOptions: FetchOptions = {
    partial: options.fallback === "partial",
    ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
  };

  function readersOf(service: ServiceRuntime): LookupReader[] {
    let found = readers.get(service);
    if (found === undefined) {
      found = service.lookups.map(({ runtime: { layout }, reads }) => {
        const wanted = reads.map((read) => read.feature);
        const unknown = createViewReading(layout);
        return {
          reader: createCachedReader(layout, wanted, budget),
          cache: caches.get(layout.view.name) ?? null,
          unknown: { ...unknown, statuses: unknown.statuses.map(() => "UNAVAILABLE"), made: new Map(), isKept: true },
        };
      });
      readers.set(service, found);
    }
    return found;
  }

  /** At once where the store reads without waiting. */
  function find(
    service: ServiceRuntime,
    scratch: readonly LookupReader[],
    lookups: readonly (readonly Value[])[],
    asOf: number | null,
    exact: boolean,
    arrived: number,
  ): Found | Promise<Found> {
    const width = scratch.length;
    const keys = new Array<ValueKey | null>(lookups.length * width).fill(null);
    const values = new Array<StoredValue | null | undefined>(keys.length).fill(null);
    const isCached = caches.size === 0 ? null : new Array<boolean>(keys.length).fill(false);
    const wanted: ValueKey[] = [];
    /** Where each wanted value goes. */
    const places: number[] = [];
    let oldest = arrived;
    let cacheHits = 0;
    let cacheMisses = 0;
    for (let place = 0; place < keys.length; place++) {
      const l = place % width;
      const row = lookups[(place - l) / width]!;
      const { runtime, keyIndexes } = service.lookups[l]!;
      out.reset();
      const parts = keyIndexes.map((index) => row[index]!);
      if (!encodeEntityKey(runtime.layout.keyTypes, parts, out)) continue;
      const key = { keyspace: runtime.keyspace, key: out.finish() };
      keys[place] = key;
      const { cache } = scratch[l]!;
      if (cache !== null) {
        const cached = exact ? undefined : cache.get(latin1(key.key), arrived);
        if (cached !== undefined) {
          values[place] = cached.value;
          isCached![place] = true;
          oldest = Math.min(oldest, cached.readAt);
          cacheHits++;
          continue;
        }
        cacheMisses++;
      }
      wanted.push(key);
      places.push(place);
    }
    // An answer that is wholly from caches: facts may be as old as the strictest of them allows.
    const maxAgeMs =
      wanted.length === 0 && cacheHits > 0 ? Math.min(...scratch.map(({ cache }) => cache?.maxStalenessMs ?? 0)) : null;
    const names = facts.needed(service, asOf, maxAgeMs);
    const found = (
      stored: readonly (StoredValue | null | undefined)[],
      texts: readonly (string | null | undefined)[],
    ): Found => {
      for (let i = 0; i < wanted.length; i++) {
        const place = places[i]!;
        const value = stored[i];
        values[place] = value;
        const { cache } = scratch[place % width]!;
        if (cache !== null && value !== undefined) cache.put(latin1(wanted[i]!.key), value, arrived);
      }
      const taken = facts.take(service, names, texts, arrived);
      if (asOf !== null && !taken.complete) {
        // Nobody knows whether what is not there was dropped.
        for (let i = 0; i < values.length; i++) if (values[i] === null && keys[i] !== null) values[i] = undefined;
      }
      return { keys, values, isCached, facts: taken, cacheHits, cacheMisses, oldest };
    };
    if (store.readSync === undefined || store.readMetaSync === undefined) {
      return store.fetch(wanted, names, fetchOptions).then((fetched) => found(fetched.values, fetched.facts));
    }
    const stored = store.readSync(wanted);
    // After the values, so that none can have been dropped in between.
    return found(stored, names.length === 0 ? [] : store.readMetaSync(names));
  }

  return {
    async read(service, lookups, asOf, exact) {
      const scratch = readersOf(service);
      const arrived = now();
      const sought = find(service, scratch, lookups, asOf, exact, arrived);
      const found = sought instanceof Promise ? await sought : sought;
      const { keys, values: stored, isCached, cacheHits, cacheMisses } = found;
      const time = asOf ?? facts.clock(service, found.facts, arrived);
      const dropped = ({ runtime: { keyspace, layout } }: ServiceRuntime["lookups"][number]): number =>
        Math.max(
          found.facts.expired.get(keyspace) ?? Number.NEGATIVE_INFINITY,
          store.capabilities.expires ? expiredBefore(layout, arrived) : Number.NEGATIVE_INFINITY,
        );
      const width = scratch.length;
      const absent = new Array<EntityReading | null>(width).fill(null);
      const readings = new Array<EntityReading>(keys.length);
      const inputs: Value[][] = [];
      const statuses: FeatureStatus[][] = [];
      const headOverlap: boolean[] = [];
      let hits = 0;
      let misses = 0;
      let unavailable = 0;
      for (let row = 0; row < lookups.length; row++) {
        let values = NOTHING as Value[];
        let status = NOTHING as FeatureStatus[];
        if (!service.isWholeView) {
          values = new Array<Value>(service.inputCount);
          status = new Array<FeatureStatus>(service.inputCount);
        }
        let overlap = false;
        for (let l = 0; l < width; l++) {
          const { runtime, reads } = service.lookups[l]!;
          const { reader, unknown } = scratch[l]!;
          const place = row * width + l;
          const value = stored[place];
          let reading: EntityReading;
          if (value === undefined) {
            reading = unknown;
            unavailable++;
          } else if (value === null) {
            absent[l] ??= reader.absent(time, dropped(service.lookups[l]!));
            reading = absent[l]!;
          } else {
            reading = reader.read(keys[place]!.key, value, time);
          }
          readings[place] = reading;
          if (reading.tooOld) throw tooOld(runtime.layout.view.name, time);
          if (reading.headOverlap) {
            if (exact) throw tooEarly(runtime.layout.view.name, time);
            overlap = true;
          }
          if (value !== undefined && isCached?.[place] !== true) {
            if (reading.found) hits++;
            else misses++;
          }
          if (service.isWholeView) {
            values = reading.values;
            status = reading.statuses;
            continue;
          }
          for (let i = 0; i < reads.length; i++) {
            const { feature, slot } = reads[i]!;
            values[slot] = reading.values[feature]!;
            status[slot] = reading.statuses[feature]!;
          }
        }
        for (const { index, slot } of service.requests) {
          values[slot] = lookups[row]![index]!;
          status[slot] = values[slot] === null ? "NULL_VALUE" : "PRESENT";
        }
        inputs.push(values);
        statuses.push(status);
        headOverlap.push(overlap);
      }
      const cacheAgeSeconds = (arrived - found.oldest) / 1_000;
      const counts = { hits, misses, unavailable, cacheHits, cacheMisses, cacheAgeSeconds };
      const whatWasRead = (): (ReadValue | null)[] =>
        keys.map((key, place) => (key === null ? null : { ...key, value: stored[place] ?? null }));
      return { time, inputs, statuses, headOverlap, readings, reads: whatWasRead, ...counts };
    },
  };
}

/** One character per byte: equal texts are equal keys. */
function latin1(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}

function tooOld(view: string, time: number): Error {
  return millraceError(
    "AS_OF_TOO_OLD",
    `View '${view}' no longer holds what its windows need at ${new Date(time).toISOString()}: the hot store keeps each window behind its clock only. Ask getHistoricalFeatures for this moment.`,
    { details: { view } },
  );
}

function tooEarly(view: string, time: number): Error {
  return millraceError(
    "AS_OF_TOO_EARLY",
    `View '${view}' has applied an event at or after ${new Date(time).toISOString()}, so its newest tile holds more than the window: read at a later moment, without "exact", or ask getHistoricalFeatures.`,
    { details: { view } },
  );
}
