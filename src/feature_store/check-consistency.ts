import { isDeepStrictEqual } from "node:util";
import type { Value } from "../definitions/value.ts";
import { createByteReader } from "../feature_engineering/encoding/byte-reader.ts";
import { decodeEntityKey } from "../feature_engineering/encoding/entity-key.ts";
import { decodeEntityState } from "../feature_engineering/windows/entity-state.ts";
import { createViewReading, type FeatureStatus, readFeatures } from "../feature_engineering/windows/read-features.ts";
import { readViewHistory } from "./historical-reader.ts";
import type { OfflineStore } from "./offline/offline-store.ts";
import type { OnlineStore } from "./online/online-store.ts";
import type { ViewRuntime } from "./view-runtime.ts";

export interface ConsistencyOptions {
  readonly view: ViewRuntime;
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** How many entities to compare, taken at random. */
  readonly sample: number;
  /** The moment t; epoch milliseconds. */
  readonly time: number;
  readonly random?: () => number;
}

export interface ConsistencyReport {
  readonly view: string;
  /** t, epoch milliseconds. */
  readonly time: number;
  readonly entities: number;
  readonly values: number;
  readonly mismatches: number;
  /** Entities whose value changed while it was compared. */
  readonly skipped: number;
  /** The first few: the feature and both values, without the entity's key. */
  readonly examples: readonly { readonly feature: string; readonly online: string; readonly history: string }[];
}

/** Compares what the hot store serves at t with what history gives at t, value for value, for a sample of entities. */
export async function checkConsistency(options: ConsistencyOptions): Promise<ConsistencyReport> {
  const { view, online, offline, time } = options;
  const { layout, keyspace } = view;
  const sampled = await sampleKeys(options);
  const stored = await online.read(sampled.map((key) => ({ keyspace, key })));
  const keys = sampled.map((key) => decodeEntityKey(createByteReader(key)));
  const history = await readViewHistory(offline, view, keys, time);
  const after = await online.read(sampled.map((key) => ({ keyspace, key })));
  const reading = createViewReading(layout);
  const examples: { feature: string; online: string; history: string }[] = [];
  let values = 0;
  let mismatches = 0;
  let skipped = 0;
  for (let i = 0; i < sampled.length; i++) {
    const value = stored[i];
    if (value?.revision !== after[i]?.revision) {
      skipped++;
      continue;
    }
    readFeatures(layout, value ? decodeEntityState(layout, value.bytes) : null, time, reading);
    // An event at or after t in the newest tile is no error of the store: the read would say so.
    if (reading.headOverlap || reading.tooOld) {
      skipped++;
      continue;
    }
    for (const [f, feature] of layout.features.entries()) {
      values++;
      const expected = history[i]!;
      if (isDeepStrictEqual(reading.values[f], expected.values[f]) && reading.statuses[f] === expected.statuses[f])
        continue;
      mismatches++;
      if (examples.length < 10) {
        examples.push({
          feature: feature.name,
          online: shown(reading.values[f]!, reading.statuses[f]!),
          history: shown(expected.values[f]!, expected.statuses[f]!),
        });
      }
    }
  }
  return { view: layout.view.name, time, entities: sampled.length - skipped, values, mismatches, skipped, examples };
}

/** A uniform sample of the keys of a view, by reservoir. */
async function sampleKeys({ online, view, sample, random = Math.random }: ConsistencyOptions): Promise<Uint8Array[]> {
  const kept: Uint8Array[] = [];
  let seen = 0;
  for await (const values of online.scan(view.keyspace)) {
    for (const { key } of values) {
      seen++;
      if (kept.length < sample) kept.push(key);
      else {
        const place = Math.floor(random() * seen);
        if (place < sample) kept[place] = key;
      }
    }
  }
  return kept;
}

function shown(value: Value, status: FeatureStatus): string {
  return `${value === null ? "null" : String(value)} ${status}`;
}
