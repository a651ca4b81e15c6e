import { millraceError } from "../definitions/errors.ts";
import type { Value } from "../definitions/value.ts";
import { createByteWriter } from "../feature_engineering/encoding/byte-writer.ts";
import { encodeEntityKey } from "../feature_engineering/encoding/entity-key.ts";
import type { StoredValue, ValueKey } from "../feature_engineering/engine/feature-sink.ts";
import type { FeatureStatus } from "../feature_engineering/windows/read-features.ts";
import { type CachedReader, createCachedReader, createReadingBudget, type EntityReading } from "./cached-reader.ts";
import type { OnlineStore } from "./online/online-store.ts";
import type { ServiceRuntime } from "./service-runtime.ts";

/** The inputs of rows, before transforms, as read from the hot store at one moment. */
export interface OnlineInputs {
  /** Per row, one value per input slot. Not to be changed: they may be those of a reading. */
  readonly inputs: readonly (readonly Value[])[];
  /** Per row, one status per input slot. Not to be changed. */
  readonly statuses: readonly (readonly FeatureStatus[])[];
  /** Per row: an event at or after t was applied already, so the newest tile may hold more than the window. */
  readonly headOverlap: boolean[];
  /** Per row and lookup of the service, row by row. */
  readonly readings: readonly EntityReading[];
  readonly hits: number;
  readonly misses: number;
  /** Per row and lookup of the service, row by row: what was read; null where the lookup has no key. */
  readonly reads: () => readonly (ReadValue | null)[];
}

/** What the hot store had under a key. */
export interface ReadValue extends ValueKey {
  readonly value: StoredValue | null;
}

export interface OnlineReader {
  /**
   * Reads every view of the service for all lookup rows in one round trip, at `time` (epoch milliseconds).
   * `expired` gives per key space the moment up to which whole values were dropped; it is asked only if one is missing,
   * and after the values were read, so that no value can have been dropped in between.
   * @throws `AS_OF_TOO_OLD` if a needed tile was dropped; `AS_OF_TOO_EARLY` if `exact` and an event at or after `time` was applied.
   */
  read(
    service: ServiceRuntime,
    lookups: readonly (readonly Value[])[],
    time: number,
    exact: boolean,
    expired: () => Promise<(keyspace: string) => number>,
  ): Promise<OnlineInputs>;
}

const NOTHING: unknown[] = [];
const noneExpired = (): number => Number.NEGATIVE_INFINITY;

export function createOnlineReader(store: OnlineStore): OnlineReader {
  const out = createByteWriter(256);
  const budget = createReadingBudget();
  const readers = new WeakMap<ServiceRuntime, CachedReader[]>();

  /** The keys of all rows and lookups that have one, and per row and lookup where its key is; −1 for a null key. */
  function keysOf(
    service: ServiceRuntime,
    lookups: readonly (readonly Value[])[],
  ): { keys: ValueKey[]; places: number[] } {
    const keys: ValueKey[] = [];
    const places: number[] = [];
    for (const lookup of lookups) {
      for (const { runtime, keyIndexes } of service.lookups) {
        out.reset();
        const whole = encodeEntityKey(
          runtime.layout.keyTypes,
          keyIndexes.map((index) => lookup[index]!),
          out,
        );
        places.push(whole ? keys.push({ keyspace: runtime.keyspace, key: out.finish() }) - 1 : -1);
      }
    }
    return { keys, places };
  }

  function readersOf(service: ServiceRuntime): CachedReader[] {
    let found = readers.get(service);
    if (found === undefined) {
      found = service.lookups.map(({ runtime: { layout }, reads }) => {
        const wanted = reads.map((read) => read.feature);
        return createCachedReader(layout, wanted, budget);
      });
      readers.set(service, found);
    }
    return found;
  }

  return {
    async read(service, lookups, time, exact, expired) {
      const { keys, places } = keysOf(service, lookups);
      const stored = store.readSync === undefined ? await store.read(keys) : store.readSync(keys);
      const isMissing = keys.length < places.length || stored.includes(null);
      const expiredBefore = isMissing ? await expired() : noneExpired;
      const cached = readersOf(service);
      const absent = new Array<EntityReading | null>(cached.length).fill(null);
      const readings = new Array<EntityReading>(places.length);
      const inputs: Value[][] = [];
      const statuses: FeatureStatus[][] = [];
      const headOverlap: boolean[] = [];
      let hits = 0;
      for (let row = 0; row < lookups.length; row++) {
        let values = NOTHING as Value[];
        let status = NOTHING as FeatureStatus[];
        if (!service.isWholeView) {
          values = new Array<Value>(service.inputCount);
          status = new Array<FeatureStatus>(service.inputCount);
        }
        let overlap = false;
        for (let l = 0; l < service.lookups.length; l++) {
          const { runtime, reads } = service.lookups[l]!;
          const place = row * service.lookups.length + l;
          const at = places[place]!;
          const value = at < 0 ? null : (stored[at] ?? null);
          let reading: EntityReading;
          if (value !== null) reading = cached[l]!.read(keys[at]!.key, value, time);
          else {
            absent[l] ??= cached[l]!.absent(time, expiredBefore(runtime.keyspace));
            reading = absent[l]!;
          }
          readings[place] = reading;
          if (reading.tooOld) throw tooOld(runtime.layout.view.name, time);
          if (reading.headOverlap) {
            if (exact) throw tooEarly(runtime.layout.view.name, time);
            overlap = true;
          }
          if (reading.found) hits++;
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
      return {
        inputs,
        statuses,
        headOverlap,
        readings,
        hits,
        misses: places.length - hits,
        reads: () => places.map((at) => (at < 0 ? null : { ...keys[at]!, value: stored[at] ?? null })),
      };
    },
  };
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
