import type { Value } from "../../../definitions/value.ts";
import type { DecodeFailure } from "../../../ingestion/stream-message.ts";
import type { ByteReader } from "../../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../../encoding/byte-writer.ts";
import { encodeEntityKey } from "../../encoding/entity-key.ts";
import { keyText } from "../../encoding/key-text.ts";
import type { LoggedEvent } from "../../engine/event-log.ts";
import { createEvaluatedEvent, type EvaluatedEvent, evaluateEvent } from "../../windows/fold-event.ts";
import { floorTo } from "../../windows/hop.ts";
import type { TileFamily, ViewLayout } from "../../windows/view-layout.ts";
import { createHistoryRows } from "./history-rows.ts";
import { readPartitions, visitMessages } from "./message-frame.ts";
import { isFailure, type SourceRuntime } from "./source-runtime.ts";

/** A partial tile: what one bundle adds to a tile. */
interface PartialTile {
  readonly start: number;
  readonly states: unknown[];
  /** Events, before any `where`. */
  count: number;
  maxEventTime: number;
}

interface EntityFold {
  readonly key: Uint8Array;
  readonly families: { newest: PartialTile | null; readonly tiles: Map<number, PartialTile> }[];
}

interface ViewFold {
  readonly number: number;
  readonly layout: ViewLayout;
  readonly evaluated: EvaluatedEvent;
  /** Of each family of the view. */
  readonly branches: readonly number[];
  readonly idOf: (row: readonly Value[]) => unknown;
  readonly entities: Map<unknown, EntityFold>;
}

/**
 * Decodes, validates and folds a frame of one source's messages. Written to `out`: of each partial tile a 1, its branch,
 * key, start (zigzag) and bytes; a 0; the number of bad messages, of each its index, code and reason; the rows for
 * history as JSON; then the numbers of events, of messages of another generation, of null keys and of failed functions.
 */
export function createFold(runtime: SourceRuntime): (text: string, frame: ByteReader, out: ByteWriter) => void {
  const views = runtime.views.map(({ number, layout }): ViewFold => {
    const { keyIndexes } = layout;
    const only = keyIndexes.length === 1 ? keyIndexes[0]! : -1;
    return {
      number,
      layout,
      evaluated: createEvaluatedEvent(layout),
      branches: layout.families.map((family) => runtime.hops.indexOf(family.hopMs)),
      idOf: only >= 0 ? (row) => row[only] : (row) => keyText(row, keyIndexes),
      entities: new Map(),
    };
  });
  const history = runtime.settings.history ? createHistoryRows(runtime.source) : null;
  const decoders = new Map<string, ReturnType<SourceRuntime["decoder"]>>();
  let nullKeys = 0;

  function decoderOf(header: string): ReturnType<SourceRuntime["decoder"]> {
    let known = decoders.get(header);
    if (known === undefined) {
      known = runtime.decoder(header);
      decoders.set(header, known);
    }
    return known;
  }

  function add(view: ViewFold, event: LoggedEvent): void {
    const { row } = event;
    const id = view.idOf(row);
    if (id === null) {
      nullKeys++;
      return;
    }
    let entity = view.entities.get(id);
    if (entity === undefined) {
      entity = {
        key: keyOf(view, row),
        families: view.layout.families.map(() => ({ newest: null, tiles: new Map() })),
      };
      view.entities.set(id, entity);
    }
    const { evaluated, layout } = view;
    evaluateEvent(layout, row, evaluated);
    for (let f = 0; f < layout.families.length; f++)
      addToFamily(layout.families[f]!, entity.families[f]!, event, evaluated);
  }

  return (text, frame, out) => {
    const partitions = readPartitions(frame);
    const decode = partitions.map(({ header }) => decoderOf(header));
    const failed: (DecodeFailure & { readonly index: number })[] = [];
    let events = 0;
    let others = 0;
    nullKeys = 0;
    runtime.failures.count = 0;
    visitMessages(
      frame,
      text,
      (index, message, offset, arrival, partition) => {
        if (message === null) return;
        const row = decode[partition]!(message);
        if (isFailure(row)) {
          failed.push({ index, ...row });
          return;
        }
        const event = runtime.toEvent(row as readonly Value[], offset, arrival);
        if (event === null) {
          others++;
        } else if (isFailure(event)) {
          failed.push({ index, ...event });
        } else {
          events++;
          for (let v = 0; v < views.length; v++) add(views[v]!, event);
          history?.add(event, partitions[partition]!.name);
        }
      },
      runtime.learn,
    );
    for (const view of views) writePartials(view, out);
    out.u8(0);
    out.varint(failed.length);
    for (const { index, code, reason } of failed) {
      out.varint(index);
      out.string(code);
      out.string(reason);
    }
    out.string(history?.take() ?? "");
    out.varint(events);
    out.varint(others);
    out.varint(nullKeys);
    out.varint(runtime.failures.count);
  };
}

function addToFamily(
  family: TileFamily,
  fold: EntityFold["families"][number],
  event: LoggedEvent,
  { inputs, wheres }: EvaluatedEvent,
): void {
  const { hopMs, slots } = family;
  const time = event.eventTime;
  let tile = fold.newest;
  if (tile === null || (hopMs > 0 && (time < tile.start || time >= tile.start + hopMs))) {
    const start = hopMs === 0 ? 0 : floorTo(time, hopMs);
    const known = fold.tiles.get(start);
    if (known === undefined) {
      tile = { start, states: slots.map((slot) => slot.aggregation.create()), count: 0, maxEventTime: time };
      fold.tiles.set(start, tile);
    } else {
      tile = known;
    }
    fold.newest = tile;
  }
  tile.count++;
  if (time > tile.maxEventTime) tile.maxEventTime = time;
  const { states } = tile;
  for (let s = 0; s < slots.length; s++) {
    const { aggregation, input, where } = slots[s]!;
    if (where >= 0 && !wheres[where]) continue;
    const value = input < 0 ? null : inputs[input]!;
    if (value === null && !aggregation.takesNulls) continue;
    states[s] = aggregation.add(states[s], value, event);
  }
}

const keyBytes = createByteWriter(64);

/** The view's number, then the encoded key of the entity. */
function keyOf({ number, layout }: ViewFold, row: readonly Value[]): Uint8Array {
  keyBytes.reset();
  keyBytes.u32(number);
  encodeEntityKey(
    layout.keyTypes,
    layout.keyIndexes.map((column) => row[column]!),
    keyBytes,
  );
  return keyBytes.finish();
}

const partial = createByteWriter(1_024);

function writePartials({ number, layout, branches, entities }: ViewFold, out: ByteWriter): void {
  for (const { key, families } of entities.values()) {
    for (let f = 0; f < families.length; f++) {
      const { slots } = layout.families[f]!;
      for (const tile of families[f]!.tiles.values()) {
        partial.reset();
        partial.u32(number);
        partial.varint(f);
        partial.varint(tile.count);
        partial.zigzag(tile.maxEventTime);
        for (let s = 0; s < slots.length; s++) slots[s]!.aggregation.encode(tile.states[s], partial);
        out.u8(1);
        out.varint(branches[f]!);
        out.bytes(key);
        out.zigzag(tile.start);
        // As one of the partials that are concatenated: with its length.
        const length = partial.position;
        out.varint(length + varintLength(length));
        out.varint(length);
        out.raw(partial.view());
      }
    }
  }
  entities.clear();
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}
