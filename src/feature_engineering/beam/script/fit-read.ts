import { createByteReader } from "../../encoding/byte-reader.ts";
import { createEntityState } from "../../windows/entity-state.ts";
import { createEvaluatedEvent, type EvaluatedEvent, foldEvent, pruneState } from "../../windows/fold-event.ts";
import { createViewReading, type ViewReading } from "../../windows/read-features.ts";
import { createEntryOrder, readEventEntry } from "./fit-entries.ts";
import { blockOf } from "./fit-events.ts";
import { createFitBlocks, type FitBlocks, type FitGroup, type FitOutput } from "./fit-output.ts";
import type { FitPlan, FitView } from "./fit-plan.ts";
import { writePart } from "./fit-rows.ts";

/** Tiles that no later row needs are dropped after this many events. */
const PRUNE_EVERY = 4_096;

/**
 * Reads the features of a group's rows at each row's t, by chunk of rows: events are folded in the order in which a
 * reader learns of them, and the view is read on the way.
 */
export function createFitRead({ views }: FitPlan): (groups: Iterable<FitGroup>, out: FitOutput) => void {
  const parts = createFitBlocks();
  const scratches = views.map(({ layout }) => ({
    evaluated: createEvaluatedEvent(layout),
    reading: createViewReading(layout),
  }));
  return (groups, out) => {
    for (const { key, blocks } of groups) {
      const index = createByteReader(key).varint();
      readGroup(views[index]!, blocks, parts, scratches[index]!);
    }
    parts.flush(out);
  };
}

interface Scratch {
  readonly evaluated: EvaluatedEvent;
  readonly reading: ViewReading;
}

const order = createEntryOrder();

function readGroup(
  view: FitView,
  blocks: readonly Uint8Array[],
  parts: FitBlocks,
  { evaluated, reading }: Scratch,
): void {
  const rows = rowsOf(blocks);
  if (rows.length === 0) return;
  const { known, block: blockAt, position, order: sorted } = entriesOf(blocks);
  const { layout, reader } = view;
  const state = createEntityState(layout);
  let next = 0;

  const readUntil = (moment: number): void => {
    for (; next < rows.length && rows[next]!.time < moment; next++) {
      const { time, row, role } = rows[next]!;
      reader.fromState(state, time, reading);
      writePart(parts, row, view.roles[role]!, reading.values);
    }
  };
  for (let i = 0; i < sorted.length; i++) {
    const at = sorted[i]!;
    readUntil(known[at]!);
    // No row comes that could see it.
    if (next === rows.length) return;
    if ((i + 1) % PRUNE_EVERY === 0) pruneState(layout, state, rows[next]!.time);
    readEventEntry(view, createByteReader(blocks[blockAt[at]!]!, position[at]!), order, evaluated);
    foldEvent(layout, state, order, evaluated, Number.NEGATIVE_INFINITY);
  }
  readUntil(Number.POSITIVE_INFINITY);
}

interface GroupRow {
  readonly role: number;
  readonly row: number;
  readonly time: number;
}

/** By time. */
function rowsOf(blocks: readonly Uint8Array[]): GroupRow[] {
  const rows: GroupRow[] = [];
  for (const block of blocks) {
    if (block[0] !== blockOf.rows) continue;
    const input = createByteReader(block, 1);
    while (input.remaining > 0) rows.push({ role: input.varint(), row: input.varint(), time: input.zigzag() });
  }
  return rows.sort((a, b) => a.time - b.time);
}

/** Where each event's entry lies, from its event time on, and from when the event is known; `order` sorts them by that. */
interface Entries {
  readonly known: Float64Array;
  readonly block: Uint32Array;
  readonly position: Uint32Array;
  readonly order: Uint32Array;
}

function entriesOf(blocks: readonly Uint8Array[]): Entries {
  let count = 0;
  visitEntries(blocks, () => count++);
  const known = new Float64Array(count);
  const block = new Uint32Array(count);
  const position = new Uint32Array(count);
  const sorted = new Uint32Array(count);
  let at = 0;
  let ascends = true;
  visitEntries(blocks, (moment, index, from) => {
    known[at] = moment;
    block[at] = index;
    position[at] = from;
    sorted[at] = at;
    if (at > 0 && known[at - 1]! > moment) ascends = false;
    at++;
  });
  if (!ascends) sorted.sort((a, b) => known[a]! - known[b]!);
  return { known, block, position, order: sorted };
}

function visitEntries(
  blocks: readonly Uint8Array[],
  visit: (known: number, block: number, position: number) => void,
): void {
  for (let index = 0; index < blocks.length; index++) {
    if (blocks[index]![0] !== blockOf.events) continue;
    const input = createByteReader(blocks[index]!, 1);
    while (input.remaining > 0) {
      const length = input.u32();
      const end = input.position + length;
      visit(input.zigzag(), index, input.position);
      input.skip(end - input.position);
    }
  }
}
