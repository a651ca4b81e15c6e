import { type ByteReader, createByteReader } from "../../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../../encoding/byte-writer.ts";
import { positionUnit } from "../../windows/packed-tiles.ts";
import type { ViewLayout } from "../../windows/view-layout.ts";

/** What one generation has added to a tile. */
export interface Contribution {
  readonly generation: number;
  /** Events, before any `where`: of two panes of one generation the larger has what the smaller has. */
  count: number;
  /** The encoded states; null while the generation is the tile's only one, whose states the tile itself holds. */
  states: Uint8Array | null;
}

/** Per family: who contributed to the tile that starts at a moment. */
export type TileLedger = readonly Map<number, Contribution[]>[];

const VERSION = 1;
const LENGTH_BYTES = 4;

/**
 * The ledger stands behind the packed value, which ends where its tiles end; its own length (32 bits) comes last. So
 * readers of packed values need not know of it.
 */
export function readLedger(layout: ViewLayout, value: Uint8Array): TileLedger {
  const end = value.length - LENGTH_BYTES;
  const length = createByteReader(value, end).u32();
  const input = createByteReader(value, end - length, end);
  input.u8();
  return layout.families.map((family) => readFamily(input, positionUnit(family)));
}

export function createLedger(layout: ViewLayout): TileLedger {
  return layout.families.map(() => new Map());
}

/** Writes a packed value and its ledger. */
export function writeWithLedger(layout: ViewLayout, packed: Uint8Array, ledger: TileLedger): Uint8Array {
  out.reset();
  out.raw(packed);
  const from = out.position;
  out.u8(VERSION);
  for (let f = 0; f < ledger.length; f++) writeFamily(ledger[f]!, positionUnit(layout.families[f]!), out);
  out.u32(out.position - from);
  return out.finish();
}

const out: ByteWriter = createByteWriter(16_384);

function readFamily(input: ByteReader, unit: number): Map<number, Contribution[]> {
  const tiles = new Map<number, Contribution[]>();
  let position = 0;
  for (let left = input.varint(); left > 0; left--) {
    position += input.zigzag();
    const contributions: Contribution[] = [];
    const count = input.varint();
    for (let i = 0; i < count; i++) {
      const generation = input.varint();
      const events = input.varint();
      contributions.push({ generation, count: events, states: count > 1 ? input.bytes() : null });
    }
    tiles.set(position * unit, contributions);
  }
  return tiles;
}

function writeFamily(tiles: Map<number, Contribution[]>, unit: number, into: ByteWriter): void {
  into.varint(tiles.size);
  let before = 0;
  for (const start of [...tiles.keys()].sort((a, b) => a - b)) {
    const contributions = tiles.get(start)!;
    into.zigzag(start / unit - before);
    before = start / unit;
    into.varint(contributions.length);
    for (const { generation, count, states } of contributions) {
      into.varint(generation);
      into.varint(count);
      if (contributions.length > 1) into.bytes(states!);
    }
  }
}
