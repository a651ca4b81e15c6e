import { Redis } from "iovalkey";
import type { FeatureViewMeta } from "../../src/definitions/feature-view.ts";
import { addExact, createExactSum, roundExact } from "../../src/feature_engineering/aggregations/exact-sum.ts";
import { decodeEntityState } from "../../src/feature_engineering/windows/entity-state.ts";
import { floorTo } from "../../src/feature_engineering/windows/hop.ts";
import { createViewReading, readFeatures } from "../../src/feature_engineering/windows/read-features.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { createViewRuntime } from "../../src/feature_store/view-runtime.ts";

const WINDOWS = [
  { name: "1h", window: 3_600_000, hop: 300_000 },
  { name: "24h", window: 86_400_000, hop: 3_600_000 },
  { name: "7d", window: 604_800_000, hop: 3_600_000 },
] as const;

/**
 * Compares the values of three views at a time with those that the tiles of the hand-written pipeline give: count, sum,
 * mean and largest of each window, of every entity.
 */
export async function compareByHand(
  views: readonly FeatureViewMeta[],
  store: OnlineStore,
  redisPort: number,
  prefix: string,
  time: number,
): Promise<{ readonly values: number; readonly mismatches: number; readonly examples: readonly string[] }> {
  const redis = new Redis(redisPort, "127.0.0.1");
  const examples: string[] = [];
  let [values, mismatches, entities] = [0, 0, 0];
  const check = (what: string, expected: unknown, found: unknown): void => {
    values++;
    if (Object.is(expected, found)) return;
    mismatches++;
    if (examples.length < 5) examples.push(`${what}: ${found}, by hand ${expected}`);
  };
  for (const [index, view] of views.entries()) {
    const { layout, keyspace } = createViewRuntime(view);
    const reading = createViewReading(layout);
    const at = new Map(layout.features.map((feature, place) => [feature.name, place]));
    for await (const batch of store.scan(keyspace)) {
      const keys = batch.map(({ key }) => `${prefix}${index}${keyOf(key)}`);
      const found = await redis.mgetBuffer(keys);
      batch.forEach(({ value }, place) => {
        entities++;
        readFeatures(layout, decodeEntityState(layout, value.bytes), time, reading);
        const tiles = readTiles(found[place] ?? Buffer.alloc(8));
        for (const { name, window, hop } of WINDOWS) {
          const sum = createExactSum();
          let [count, largest] = [0, Number.NEGATIVE_INFINITY];
          for (const tile of tiles) {
            if (tile.size !== hop || tile.start < floorTo(time - window, hop)) continue;
            count += tile.count;
            largest = Math.max(largest, tile.largest);
            for (const part of tile.parts) addExact(sum, part);
          }
          const value = (feature: string): unknown => reading.values[at.get(`${feature}_${name}`)!];
          const total = roundExact(sum);
          check(`${keys[place]} n_${name}`, BigInt(count), BigInt(value("n") as number));
          check(`${keys[place]} spend_${name}`, total, value("spend"));
          check(`${keys[place]} largest_${name}`, largest, value("largest"));
        }
      });
    }
  }
  const written = await redis.keys(`${prefix}*`);
  check("entities", written.length, entities);
  await redis.quit();
  return { values, mismatches, examples };
}

/** The one text of an encoded key: a tag, its length, its bytes. */
function keyOf(key: Uint8Array): string {
  return Buffer.from(key.subarray(2)).toString("utf8");
}

interface Tile {
  readonly size: number;
  readonly start: number;
  readonly count: number;
  readonly largest: number;
  readonly parts: readonly number[];
}

function readTiles(value: Buffer): Tile[] {
  const tiles: Tile[] = [];
  let at = 8;
  const varint = (): number => {
    let result = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = value[at++]!;
      result += (byte & 127) * 2 ** shift;
      if (byte < 128) return result;
    }
  };
  const eight = (): number => {
    at += 8;
    return at - 8;
  };
  const double = (): number => value.readDoubleBE(eight());
  const long = (): number => Number(value.readBigInt64BE(eight()));
  while (at < value.length) {
    const [size, start, count, largest] = [long(), long(), varint(), double()];
    tiles.push({ size, start, count, largest, parts: Array.from({ length: varint() }, double) });
  }
  return tiles;
}
