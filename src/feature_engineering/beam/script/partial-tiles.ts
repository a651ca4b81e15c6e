import { type ByteWriter, createByteWriter } from "../../encoding/byte-writer.ts";
import { encodeEntityKey } from "../../encoding/entity-key.ts";
import { keyText } from "../../encoding/key-text.ts";
import { readUtf8 } from "../../encoding/utf8.ts";
import type { LoggedEvent } from "../../engine/event-log.ts";
import { createEvaluatedEvent, evaluateEvent } from "../../windows/fold-event.ts";
import type { ViewLayout } from "../../windows/view-layout.ts";
import { createTileTable, type TileTable } from "./tile-table.ts";

/** What was folded of one view and not handed on: partial tiles by entity. */
export interface PartialTiles {
  /** Folds an event; false if a column of its key is null. */
  add(event: LoggedEvent): boolean;
  /** How much memory they take, about: in tiles of few doubles. */
  readonly weight: number;
  /** Whether states may grow with each event, and hold on to the text that it was read from. */
  readonly grows: boolean;
  /**
   * Writes of each entity a 1, its key (the view's number before it), and in bytes its tiles, of each its start (zigzag)
   * and, with its length, the partial. Then begins anew.
   */
  takeEntities(out: ByteWriter): void;
  /** Writes of each tile a 1, its branch, the key, start (zigzag) and partial as above. Then begins anew. */
  takeTiles(out: ByteWriter): void;
}

/** What a tile of objects counts for. */
const BOXED_WEIGHT = 8;

/** `branches`: of each family of the view. `copiesText`: keys are parts of long texts, which are not to be kept. */
export function createPartialTiles(
  number: number,
  layout: ViewLayout,
  branches: readonly number[],
  copiesText: boolean,
): PartialTiles {
  const { keyIndexes, keyTypes } = layout;
  const only = keyIndexes.length === 1 ? keyIndexes[0]! : -1;
  const evaluated = createEvaluatedEvent(layout);
  const tables = layout.families.map(createTileTable);
  const rows = new Map<unknown, number>();
  /** The entities' keys, one behind the other, and where each begins. */
  const keys = createByteWriter(4_096);
  const places: number[] = [];

  function addEntity(id: unknown, event: LoggedEvent): number {
    const row = places.length;
    places.push(keys.position);
    keys.u32(number);
    const from = keys.position;
    const values = only >= 0 ? [event.row[only]!] : keyIndexes.map((column) => event.row[column]!);
    encodeEntityKey(keyTypes, values, keys);
    rows.set(copiesText && only >= 0 && typeof id === "string" ? copyOf(id, keys.view(), from) : id, row);
    return row;
  }

  /** Visits each entity's key. */
  function take(visit: (row: number, key: Uint8Array) => void): void {
    const bytes = keys.view();
    for (let row = 0; row < places.length; row++) {
      visit(row, bytes.subarray(places[row]!, places[row + 1] ?? bytes.length));
    }
    rows.clear();
    keys.reset();
    places.length = 0;
    for (const table of tables) table.clear();
  }

  function writePartial(family: number, tile: number, out: ByteWriter): void {
    partial.reset();
    partial.u32(number);
    partial.varint(family);
    tables[family]!.write(tile, partial);
    // As one of the partials that are concatenated: with its length.
    const length = partial.position;
    out.varint(length + varintLength(length));
    out.varint(length);
    out.raw(partial.view());
  }

  return {
    add(event) {
      const id = only >= 0 ? event.row[only]! : keyText(event.row, keyIndexes);
      if (id === null) return false;
      const row = rows.get(id) ?? addEntity(id, event);
      evaluateEvent(layout, event.row, evaluated);
      for (let f = 0; f < tables.length; f++) tables[f]!.add(row, event, evaluated);
      return true;
    },
    get weight() {
      let weight = places.length;
      for (const table of tables) weight += table.isFlat ? table.size : table.size * BOXED_WEIGHT;
      return weight;
    },
    grows: tables.some((table) => !table.isFlat),
    takeEntities(out) {
      take((row, key) => {
        own.reset();
        for (let f = 0; f < tables.length; f++) {
          const table = tables[f]!;
          for (let tile = table.last(row); tile >= 0; tile = table.before(tile)) {
            own.zigzag(table.start(tile));
            writePartial(f, tile, own);
          }
        }
        out.u8(1);
        out.bytes(key);
        out.bytes(own.view());
      });
    },
    takeTiles(out) {
      take((row, key) => {
        for (let f = 0; f < tables.length; f++) {
          const table: TileTable = tables[f]!;
          for (let tile = table.last(row); tile >= 0; tile = table.before(tile)) {
            out.u8(1);
            out.varint(branches[f]!);
            out.bytes(key);
            out.zigzag(table.start(tile));
            writePartial(f, tile, out);
          }
        }
      });
    },
  };
}

const partial = createByteWriter(1_024);
const own = createByteWriter(16_384);

/** The same text, of its own bytes: an encoded text is a tag, its length and these. */
function copyOf(text: string, key: Uint8Array, from: number): string {
  let at = from + 1;
  while (key[at]! >= 128) at++;
  const copy = readUtf8(key, at + 1, key.length);
  return copy === text ? copy : text;
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}
