import { expect, test } from "vitest";
import { Meta } from "../../../src/definitions/meta.ts";
import { createPartialTiles, type PartialTiles } from "../../../src/feature_engineering/beam/script/partial-tiles.ts";
import { type ByteReader, createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { decodeEntityKey } from "../../../src/feature_engineering/encoding/entity-key.ts";
import type { LoggedEvent } from "../../../src/feature_engineering/engine/event-log.ts";
import type { ViewLayout } from "../../../src/feature_engineering/windows/view-layout.ts";
import { createViewRuntime } from "../../../src/feature_store/view-runtime.ts";
import { count, entity, featureView, latest, memory, streamSource, sum, t } from "../../../src/index.ts";

const HOUR = 3_600_000;
const ENTITIES = 2_500;
const NUMBER = 7;
const BRANCHES = [3, 5, 1];

const source = streamSource("visits", {
  stream: memory(),
  eventTime: "at",
  lateness: "1m",
  schema: { page: t.string(), seconds: t.int32(), at: t.timestamp() },
});
const page = entity("page", { page: t.string() });
const windows = ["1h", "24h"] as const;
const features = { n: count().over(windows), total: sum(source.seconds).over(windows) };
/** States of doubles, and states of objects. */
const layouts = [
  featureView("flat", { source, entity: page, features }),
  featureView("boxed", { source, entity: page, features: { ...features, last: latest(source.seconds) } }),
].map((view) => createViewRuntime(view[Meta]).layout);

interface Naive {
  count: number;
  latest: number;
  total: number;
}

/** By family, page and start. */
type Tiles = Map<string, Naive>;

function visits(many: number, seed: number): LoggedEvent[] {
  let state = seed;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const order = { version: null, ingestedAt: 0, hash0: 0, hash1: 0, hash2: 0, hash3: 0 };
  return Array.from({ length: many }, (_, offset) => {
    const eventTime = below(48 * HOUR);
    const row = [below(500) === 0 ? null : `/pages/of/many/letters/${below(ENTITIES)}`, below(1_000), eventTime];
    return { ...order, partitionId: 0, offset, eventTime, id: null, row };
  });
}

function naive({ families }: ViewLayout, events: readonly LoggedEvent[]): Tiles {
  const tiles: Tiles = new Map();
  for (const { row, eventTime } of events) {
    if (row[0] === null) continue;
    for (const { hopMs, slots } of families) {
      const name = `${hopMs} ${row[0]} ${hopMs === 0 ? 0 : Math.floor(eventTime / hopMs) * hopMs}`;
      const tile = tiles.get(name) ?? { count: 0, latest: 0, total: 0 };
      tiles.set(name, tile);
      tile.count++;
      tile.latest = Math.max(tile.latest, eventTime);
      if (slots.some(({ aggregation }) => aggregation.name === "sum")) tile.total += row[1] as number;
    }
  }
  return tiles;
}

function readPartial(layout: ViewLayout, input: ByteReader, name: string, start: number, into: Tiles): number {
  const length = input.varint();
  const end = input.position + length;
  const own = input.varint();
  const isWhole = own === end - input.position && input.u32() === NUMBER;
  const family = input.varint();
  const { hopMs, slots } = layout.families[family]!;
  const found = { count: input.varint(), latest: input.zigzag(), total: 0 };
  for (const { aggregation } of slots) {
    const value = aggregation.finish(aggregation.decode(input));
    if (aggregation.name === "sum") found.total = value as number;
  }
  const tile = `${hopMs} ${name} ${start}`;
  // Else it is missed.
  if (isWhole && input.position === end && !into.has(tile)) into.set(tile, found);
  return family;
}

function keyOf(input: ByteReader): string {
  const key = createByteReader(input.bytes());
  key.u32();
  return decodeEntityKey(key)[0] as string;
}

function takeEntities(layout: ViewLayout, partials: PartialTiles): Tiles {
  const out = createByteWriter();
  partials.takeEntities(out);
  const input = createByteReader(out.finish());
  const tiles: Tiles = new Map();
  while (input.remaining > 0) {
    input.u8();
    const name = keyOf(input);
    const own = createByteReader(input.bytes());
    while (own.remaining > 0) readPartial(layout, own, name, own.zigzag(), tiles);
  }
  return tiles;
}

function takeTiles(layout: ViewLayout, partials: PartialTiles): Tiles {
  const out = createByteWriter();
  partials.takeTiles(out);
  const input = createByteReader(out.finish());
  const tiles: Tiles = new Map();
  while (input.remaining > 0) {
    input.u8();
    const branch = input.varint();
    const name = keyOf(input);
    if (BRANCHES[readPartial(layout, input, name, input.zigzag(), tiles)] !== branch) tiles.clear();
  }
  return tiles;
}

test.each([{ copiesText: false }, { copiesText: true }])(
  "holds one partial of each tile of many entities, in any order of events: %o",
  ({ copiesText }) => {
    for (const layout of layouts) {
      const partials = createPartialTiles(NUMBER, layout, BRANCHES, copiesText);
      for (const seed of [1, 2]) {
        const events = visits(6_000, seed);
        const nulls = events.filter((event) => !partials.add(event));
        expect(nulls.length).toBeGreaterThan(0);
        const expected = naive(layout, events);
        expect(partials.weight).toBeGreaterThan(expected.size);
        // The second time, what was taken is gone.
        const found = seed === 1 ? takeEntities(layout, partials) : takeTiles(layout, partials);
        expect(found.size).toBe(expected.size);
        const differing = [...expected].filter(([name, { count, latest, total }]) => {
          const tile = found.get(name);
          return tile === undefined || tile.count !== count || tile.latest !== latest || tile.total !== total;
        });
        expect(differing.slice(0, 3)).toEqual([]);
      }
      expect(takeEntities(layout, partials).size).toBe(0);
      expect(partials.weight).toBe(0);
      expect(partials.grows).toBe(layout.view.name === "boxed");
    }
  },
);
