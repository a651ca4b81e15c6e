import type { Value } from "../../../definitions/value.ts";
import type { DecodeFailure } from "../../../ingestion/stream-message.ts";
import type { ByteReader } from "../../encoding/byte-reader.ts";
import type { ByteWriter } from "../../encoding/byte-writer.ts";
import type { ViewLayout } from "../../windows/view-layout.ts";
import { createHistoryRows } from "./history-rows.ts";
import { readPartitions, visitMessages } from "./message-frame.ts";
import { createPartialTiles } from "./partial-tiles.ts";
import { isFailure, type SourceRuntime } from "./source-runtime.ts";

/** How partial tiles are handed on: at once, one by one; or by entity, while there is room not yet, or all. */
export const HandOn = { tiles: 0, later: 1, entities: 2 } as const;

/** Bounds what is kept: in tiles of few doubles, and where states may grow with each event in characters of these. */
const MOST_WEIGHT = 400_000;
const MOST_TEXT = 32 << 20;

/** Whether an aggregation takes an event's order, which the payload's hash is a part of, into account. */
function needsHash(layout: ViewLayout): boolean {
  // What a function does not take it cannot look at.
  return layout.families.some(({ slots }) => slots.some(({ aggregation }) => aggregation.add.length > 2));
}

/**
 * Decodes, validates and folds a frame of one source's messages. Before them the frame says how to hand on, see
 * {@link HandOn}. Written to `out`: what is handed on, see `partial-tiles.ts`; a 0; the number of bad messages, of each its
 * index, code and reason; the rows for history as JSON; then the numbers of events, of messages of another generation, of
 * null keys and of failed functions.
 */
export function createFold(runtime: SourceRuntime): (text: string, frame: ByteReader, out: ByteWriter) => void {
  const isText = runtime.settings.cells === "text";
  const views = runtime.views.map(({ number, layout }) => {
    const branches = layout.families.map((family) => runtime.hops.indexOf(family.hopMs));
    return createPartialTiles(number, layout, branches, isText);
  });
  const grows = views.some((view) => view.grows);
  const history = runtime.settings.history ? createHistoryRows(runtime.source) : null;
  const looksAtHash = history !== null || runtime.views.some(({ layout }) => needsHash(layout));
  const toEvent = looksAtHash ? runtime.toEvent : runtime.toUnhashedEvent;
  const decoders = new Map<string, ReturnType<SourceRuntime["decoder"]>>();
  let kept = 0;

  function decoderOf(header: string): ReturnType<SourceRuntime["decoder"]> {
    let known = decoders.get(header);
    if (known === undefined) {
      known = runtime.decoder(header);
      decoders.set(header, known);
    }
    return known;
  }

  function handOn(how: number, read: number, out: ByteWriter): void {
    if (how === HandOn.tiles) {
      for (const view of views) view.takeTiles(out);
      return;
    }
    let weight = 0;
    for (const view of views) weight += view.weight;
    if (grows) kept += read;
    // Cells of a file are parts of the text of all its records, which states are not to hold on to.
    if (how === HandOn.later && !(grows && isText) && weight < MOST_WEIGHT && kept < MOST_TEXT) return;
    for (const view of views) view.takeEntities(out);
    kept = 0;
  }

  return (text, frame, out) => {
    const how = frame.varint();
    const partitions = readPartitions(frame);
    const decode = partitions.map(({ header }) => decoderOf(header));
    const failed: (DecodeFailure & { readonly index: number })[] = [];
    let events = 0;
    let others = 0;
    let nullKeys = 0;
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
        const event = toEvent(row as readonly Value[], offset, arrival);
        if (event === null) {
          others++;
        } else if (isFailure(event)) {
          failed.push({ index, ...event });
        } else {
          events++;
          for (let v = 0; v < views.length; v++) if (!views[v]!.add(event)) nullKeys++;
          history?.add(event, partitions[partition]!.name);
        }
      },
      runtime.learn,
    );
    handOn(how, text.length + frame.position, out);
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
