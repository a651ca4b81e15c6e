import type { FeatureViewMeta } from "../../../src/definitions/feature-view.ts";
import { decodeEntityState, type EntityState } from "../../../src/feature_engineering/windows/entity-state.ts";
import { neededFrom } from "../../../src/feature_engineering/windows/fold-event.ts";
import { unpackTiles } from "../../../src/feature_engineering/windows/packed-tiles.ts";
import { createViewReading, readFeatures } from "../../../src/feature_engineering/windows/read-features.ts";
import type { ViewLayout } from "../../../src/feature_engineering/windows/view-layout.ts";
import type { OnlineStore } from "../../../src/feature_store/online/online-store.ts";
import { createViewRuntime } from "../../../src/feature_store/view-runtime.ts";

export interface Comparison {
  entities: number;
  tiles: number;
  values: number;
  mismatches: number;
  /** The first few, for a person. */
  readonly examples: string[];
}

export function createComparison(): Comparison {
  return { entities: 0, tiles: 0, values: 0, mismatches: 0, examples: [] };
}

/**
 * Compares a view's values in two stores: which entities there are, the bytes of every tile that a read at `clock` or
 * later can need, and every feature read at `times`.
 */
export async function compareValues(
  view: FeatureViewMeta,
  expected: OnlineStore,
  found: OnlineStore,
  clock: number,
  times: readonly number[],
  into: Comparison,
): Promise<void> {
  const { layout, keyspace } = createViewRuntime(view);
  const [a, b] = await Promise.all([valuesOf(expected, layout, keyspace), valuesOf(found, layout, keyspace)]);
  const miss = (text: string): void => {
    into.mismatches++;
    if (into.examples.length < 10) into.examples.push(`${view.name} ${text}`);
  };
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    into.entities++;
    const [one, two] = [a.get(key), b.get(key)];
    if (one === undefined || two === undefined) {
      miss(`${key}: only ${one === undefined ? "found" : "expected"}`);
      continue;
    }
    if (one.maxEventTime !== two.maxEventTime) miss(`${key}: time ${one.maxEventTime} became ${two.maxEventTime}`);
    const readings = [one, two].map((state) =>
      times.map((time) => {
        const reading = createViewReading(layout);
        readFeatures(layout, state, time, reading);
        return reading;
      }),
    );
    for (let t = 0; t < times.length; t++) {
      const [x, y] = [readings[0]![t]!, readings[1]![t]!];
      layout.features.forEach((feature, i) => {
        into.values++;
        if (
          JSON.stringify(x.values[i], bigints) !== JSON.stringify(y.values[i], bigints) ||
          x.statuses[i] !== y.statuses[i]
        ) {
          miss(
            `${key} ${feature.name} at ${times[t]}: ${show(x.values[i])} ${x.statuses[i]} became ${show(y.values[i])} ${y.statuses[i]}`,
          );
        }
      });
    }
    const [s, u] = [tilesOf(layout, one, clock), tilesOf(layout, two, clock)];
    for (const tile of new Set([...s.keys(), ...u.keys()])) {
      into.tiles++;
      if (s.get(tile) !== u.get(tile)) miss(`${key} tile ${tile}: ${s.get(tile)} became ${u.get(tile)}`);
    }
  }
}

async function valuesOf(store: OnlineStore, layout: ViewLayout, keyspace: string): Promise<Map<string, EntityState>> {
  const found = new Map<string, EntityState>();
  for await (const batch of store.scan(keyspace)) {
    for (const { key, value } of batch) {
      found.set(Buffer.from(key).toString("hex"), decodeEntityState(layout, value.bytes));
    }
  }
  return found;
}

/** By family and start, the states in hexadecimal digits. */
function tilesOf(layout: ViewLayout, state: EntityState, clock: number): Map<string, string> {
  const found = new Map<string, string>();
  layout.families.forEach((family, index) => {
    const needed = neededFrom(family, 0, clock);
    for (const tile of unpackTiles(family, state.families[index]!)) {
      if (tile.start < needed) continue;
      found.set(`${family.hopMs}:${tile.start}`, Buffer.from(tile.bytes!.subarray(tile.from, tile.to)).toString("hex"));
    }
  });
  return found;
}

function bigints(_name: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}n` : Object.is(value, -0) ? "-0" : value;
}

function show(value: unknown): string {
  return JSON.stringify(value, bigints) ?? "undefined";
}
