import type { Value } from "../../../definitions/value.ts";
import type { ByteReader } from "../../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../../encoding/byte-writer.ts";
import { encodeEntityKey } from "../../encoding/entity-key.ts";
import { keyText } from "../../encoding/key-text.ts";
import type { LoggedEvent } from "../../engine/event-log.ts";
import { createEvaluatedEvent, type EvaluatedEvent, evaluateEvent } from "../../windows/fold-event.ts";
import { writeEventEntry } from "./fit-entries.ts";
import { createFitBlocks, type FitBlocks, type FitOutput } from "./fit-output.ts";
import type { FitPlan, FitView } from "./fit-plan.ts";
import { readLoggedLine } from "./logged-line.ts";
import { type BinaryMessage, readPartitions, visitMessages } from "./message-frame.ts";
import { isFailure, type SourceRuntime } from "./source-runtime.ts";

/** The first byte of a group's block: events, or rows that look them up. */
export const blockOf = { events: 0, rows: 1 } as const;

/**
 * Decodes a frame of a source's messages, and gives each event to the groups whose rows may see it: what the features of
 * the view aggregate of it, by the view, the span of time and the entity.
 */
export function createFitEvents(
  plan: FitPlan,
  source: number,
): (text: string, frame: ByteReader, out: FitOutput) => void {
  const { runtime, views } = plan.sources[source]!;
  const decoders = new Map<string, ReturnType<SourceRuntime["decoder"]>>();
  const adders = views.map((index) => createAdder(plan, index));
  const { name } = runtime.source;
  const isLogged = runtime.settings.cells === "logged";
  const types = runtime.source.columns.map(({ type }) => type);

  function eventOf(
    message: string | BinaryMessage,
    decode: ReturnType<SourceRuntime["decoder"]>,
    offset: number,
    arrival: number | null,
  ) {
    if (isLogged && typeof message === "string") return readLoggedLine(message, types);
    const row = decode(message);
    return isFailure(row) ? row : runtime.toEvent(row as readonly Value[], offset, arrival);
  }

  return (text, frame, out) => {
    const decode = readPartitions(frame).map(({ header }) => {
      const known = decoders.get(header) ?? runtime.decoder(header);
      decoders.set(header, known);
      return known;
    });
    let events = 0;
    let bad = 0;
    let nullKeys = 0;
    runtime.failures.count = 0;
    visitMessages(
      frame,
      text,
      (_index, message, offset, arrival, partition) => {
        const event = message === null ? null : eventOf(message, decode[partition]!, offset, arrival);
        if (event === null) return;
        if (isFailure(event)) {
          bad++;
          return;
        }
        events++;
        for (const add of adders) if (!add.event(event as LoggedEvent)) nullKeys++;
      },
      runtime.learn,
    );
    for (const { blocks } of adders) blocks.flush(out, blockOf.events);
    out.count(name, "events", events);
    out.count(name, "dead_letters", bad);
    out.count(name, "null_keys", nullKeys);
    out.count(name, "function_failures", runtime.failures.count);
  };
}

interface Adder {
  readonly blocks: FitBlocks;
  /** False for an event of no entity. */
  event(event: LoggedEvent): boolean;
}

function createAdder({ settings, views }: FitPlan, index: number): Adder {
  const view = views[index]!;
  const { layout, reachMs } = view;
  const { keyIndexes } = layout;
  const only = keyIndexes.length === 1 ? keyIndexes[0]! : -1;
  const evaluated: EvaluatedEvent = createEvaluatedEvent(layout);
  const blocks = createFitBlocks();
  const byArrival = settings.knowledge === "ingested_at";
  return {
    blocks,
    event(event) {
      const { row, eventTime, ingestedAt } = event;
      const id = only >= 0 ? row[only]! : keyText(row, keyIndexes);
      if (id === null) return false;
      // A row at t sees it from its first moment on, as far as its view looks back.
      const known = byArrival ? Math.max(eventTime + 1, ingestedAt) : eventTime + 1;
      const from = Math.max(known, settings.first);
      const to = Math.min(eventTime + reachMs, settings.last);
      if (from > to) return true;
      evaluateEvent(layout, row, evaluated);
      for (let segment = segmentAt(view, from); segment <= segmentAt(view, to); segment++) {
        writeEventEntry(view, known, event, evaluated, blocks.entry);
        const group = view.segmentMs === null ? id : `${segment} ${typeof id} ${String(id)}`;
        blocks.end(group, () =>
          groupKey(
            index,
            view,
            segment,
            keyIndexes.map((column) => row[column]!),
          ),
        );
      }
      return true;
    },
  };
}

/** The span of time that a row at t belongs to. */
export function segmentAt({ segmentMs }: FitView, time: number): number {
  return segmentMs === null ? 0 : Math.floor(time / segmentMs);
}

const key: ByteWriter = createByteWriter(64);

/** The view's index, the span of time, and the entity's key. */
export function groupKey(index: number, { layout }: FitView, segment: number, values: readonly Value[]): Uint8Array {
  key.reset();
  key.varint(index);
  key.zigzag(segment);
  encodeEntityKey(layout.keyTypes, values, key);
  return key.finish();
}
