import type { RowFunction } from "../../../src/definitions/expression.ts";
import { jobScript } from "../../../src/feature_engineering/beam/job-script.ts";
import { HandOn } from "../../../src/feature_engineering/beam/script/fold-messages.ts";
import { open, type WorkerScript } from "../../../src/feature_engineering/beam/script/main.ts";
import { type ByteReader, createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import type { Declarations } from "../../../src/feature_engineering/plan/collect-declarations.ts";
import { compilePlan, planText } from "../../../src/feature_engineering/plan/plan.ts";
import type { RandomMessage } from "./random-stream.ts";

/** A number from 0 to `below` − 1. */
export type Choose = (below: number) => number;

export interface ScriptJob {
  readonly source: string;
  readonly generation: number;
  readonly from: number | null;
  readonly until: number | null;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** What is stored behind a job: values by the view's number and the entity's key, the clocks, the dead letters. */
export interface ScriptStore {
  readonly values: Map<string, Uint8Array>;
  readonly clocks: Map<string, number>;
  /** `code partition offset`. */
  readonly letters: Set<string>;
}

/**
 * Does in one thread what the Java host and a runner do around the script: bundles of any size, panes that fire early,
 * again, late and in any order, partials that are made one, state that is lost. All of it as `choose` says.
 */
export function runScript(
  declarations: Declarations,
  job: ScriptJob,
  messages: readonly RandomMessage[],
  store: ScriptStore,
  choose: Choose,
): void {
  const settings = {
    ...{
      name: job.source,
      from: job.from,
      until: job.until,
      history: choose(2) === 0,
      cells: "json" as const,
      nulls: [],
    },
  };
  const script = openScript(declarations, JSON.stringify({ generation: job.generation, sources: [settings] }));
  const [described] = JSON.parse(script.describe()) as [{ has_id: boolean; clock: "wall" | "stream" }];
  const known = new Map<string, string>();
  const tiles = new Map<string, Tile>();
  const panes: Pane[] = [];
  // In batch the script keeps what it folded for a while, and all of an entity meet once.
  const parts = choose(2) === 0 ? new Map<string, Uint8Array[]>() : null;
  for (let from = 0; from < messages.length; ) {
    const bundle = messages.slice(from, from + 1 + choose(40));
    from += bundle.length;
    const passed = described.has_id ? distinct(script, bundle, known, store) : bundle;
    if (parts !== null) {
      foldEntities(script, passed, choose(3) === 0, store, parts);
      continue;
    }
    fold(script, passed, store, tiles, choose);
    for (const tile of tiles.values()) if (tile.fresh && choose(3) === 0) fire(tile, panes);
    if (choose(2) === 0) write(script, job, described.clock, panes, store, choose, false);
  }
  if (parts !== null) {
    foldEntities(script, [], true, store, parts);
    writeEntities(script, job, described.clock, parts, store);
  }
  for (const tile of tiles.values()) if (tile.fresh || choose(4) === 0) fire(tile, panes);
  while (panes.length > 0) write(script, job, described.clock, panes, store, choose, true);
}

function openScript(declarations: Declarations, settings: string): WorkerScript {
  const plan = compilePlan(declarations);
  const text = jobScript("", plan);
  const functions = new Function(
    `const millrace = { open: (plan, settings, functions) => functions };${text}; return openJob("", "");`,
  )() as Record<string, RowFunction>;
  return open(planText(plan), settings, functions, null);
}

interface Tile {
  readonly key: Uint8Array;
  readonly start: number;
  /** Concatenated, as the combiner does. */
  partials: Uint8Array;
  /** It has more than what was fired. */
  fresh: boolean;
}

interface Pane {
  readonly key: Uint8Array;
  readonly start: number;
  readonly partials: Uint8Array;
}

function frameOf(messages: readonly RandomMessage[], how: number | null = null): { text: string; bytes: ArrayBuffer } {
  const frame = createByteWriter();
  frame.varint(0);
  if (how !== null) frame.varint(how);
  const partitions = [...new Set(messages.map(({ partition }) => partition))];
  frame.varint(partitions.length);
  for (const partition of partitions) {
    frame.string(String(partition));
    frame.string("");
  }
  // As text.
  frame.varint(0);
  frame.varint(messages.length);
  for (const { partition, text, offset, arrival } of messages) {
    frame.varint(partitions.indexOf(partition));
    frame.varint(text === null ? 0 : text.length + 1);
    frame.zigzag(offset);
    frame.zigzag(arrival + 1);
  }
  return { text: messages.map(({ text }) => text ?? "").join(""), bytes: bufferOf(frame.finish()) };
}

function distinct(
  script: WorkerScript,
  bundle: readonly RandomMessage[],
  known: Map<string, string>,
  store: ScriptStore,
): RandomMessage[] {
  const { text, bytes } = frameOf(bundle);
  const said = createByteReader(script.identify(text, bytes));
  return bundle.filter((message) => {
    const kind = said.u8();
    if (kind === 1) {
      letter(store, said.string(), message);
      said.string();
    }
    if (kind !== 2) return false;
    const identity = Buffer.from(said.bytes()).toString("hex");
    const hash = [said.u32(), said.u32(), said.u32(), said.u32()].join();
    said.zigzag();
    const first = known.get(identity);
    if (first === undefined) known.set(identity, hash);
    else if (first !== hash) letter(store, "ID_CONFLICT", message);
    return first === undefined;
  });
}

function fold(
  script: WorkerScript,
  messages: readonly RandomMessage[],
  store: ScriptStore,
  tiles: Map<string, Tile>,
  choose: Choose,
): void {
  if (messages.length === 0) return;
  const { text, bytes } = frameOf(messages, HandOn.tiles);
  const said = createByteReader(script.fold(text, bytes));
  while (said.u8() === 1) {
    const branch = said.varint();
    const key = said.bytes().slice();
    const start = said.zigzag();
    const partial = said.bytes().slice();
    const id = `${branch} ${start} ${Buffer.from(key).toString("hex")}`;
    const tile = tiles.get(id) ?? { key, start, partials: new Uint8Array(0), fresh: true };
    tiles.set(id, tile);
    tile.partials = choose(2) === 0 ? Buffer.concat([tile.partials, partial]) : Buffer.concat([partial, tile.partials]);
    if (choose(3) === 0) tile.partials = script.compact("", bufferOf(tile.partials));
    tile.fresh = true;
  }
  letters(said, messages, store);
}

function foldEntities(
  script: WorkerScript,
  messages: readonly RandomMessage[],
  isLast: boolean,
  store: ScriptStore,
  parts: Map<string, Uint8Array[]>,
): void {
  const { text, bytes } = frameOf(messages, isLast ? HandOn.entities : HandOn.later);
  const said = createByteReader(script.fold(text, bytes));
  while (said.u8() === 1) {
    const key = Buffer.from(said.bytes()).toString("hex");
    parts.set(key, [...(parts.get(key) ?? []), said.bytes().slice()]);
  }
  letters(said, messages, store);
}

function letters(said: ByteReader, messages: readonly RandomMessage[], store: ScriptStore): void {
  for (let bad = said.varint(); bad > 0; bad--) {
    const message = messages[said.varint()]!;
    letter(store, said.string(), message);
    said.string();
  }
}

function fire(tile: Tile, panes: Pane[]): void {
  panes.push({ key: tile.key, start: tile.start, partials: tile.partials });
  tile.fresh = false;
}

/** Some of the panes, in any order; some come again later. */
function write(
  script: WorkerScript,
  job: ScriptJob,
  clock: "wall" | "stream",
  panes: Pane[],
  store: ScriptStore,
  choose: Choose,
  last: boolean,
): void {
  const taken: Pane[] = [];
  for (let left = 1 + choose(panes.length + 1); left > 0 && panes.length > 0; left--) {
    taken.push(...panes.splice(choose(panes.length), 1));
  }
  if (!last && choose(3) === 0) panes.push(...taken.slice(0, 3));
  const entities = new Map<string, Pane[]>();
  for (const pane of taken) {
    const name = Buffer.from(pane.key).toString("hex");
    entities.set(name, [...(entities.get(name) ?? []), pane]);
  }
  const given = new Map<string, Uint8Array>();
  for (const [name, own] of entities) {
    const tiles = createByteWriter();
    for (const { start, partials } of own) {
      tiles.zigzag(start);
      tiles.bytes(partials);
    }
    given.set(name, tiles.finish());
  }
  merge(script, job, clock, given, false, store);
}

function writeEntities(
  script: WorkerScript,
  job: ScriptJob,
  clock: "wall" | "stream",
  parts: ReadonlyMap<string, readonly Uint8Array[]>,
  store: ScriptStore,
): void {
  const given = new Map([...parts].map(([name, own]) => [name, Buffer.concat(own)]));
  merge(script, job, clock, given, true, store);
}

/** Stores the tiles of entities: in parts that add up, or panes that replace each other. */
function merge(
  script: WorkerScript,
  job: ScriptJob,
  clock: "wall" | "stream",
  entities: ReadonlyMap<string, Uint8Array>,
  adds: boolean,
  store: ScriptStore,
): void {
  const frame = createByteWriter();
  frame.zigzag(job.now);
  frame.zigzag(clock === "stream" ? (store.clocks.get(job.source) ?? -(2 ** 52)) : 0);
  frame.varint(job.generation);
  frame.varint(adds ? 1 : 0);
  frame.varint(entities.size);
  for (const [name, tiles] of entities) {
    frame.raw(Buffer.from(name, "hex").subarray(0, HEAD));
    frame.bytes(store.values.get(name) ?? new Uint8Array(0));
    frame.bytes(tiles);
  }
  const said = createByteReader(script.merge("", bufferOf(frame.finish())));
  let latest = Number.NEGATIVE_INFINITY;
  for (const name of entities.keys()) latest = Math.max(latest, storeValue(name, said, store));
  const known = store.clocks.get(job.source) ?? Number.NEGATIVE_INFINITY;
  if (entities.size > 0) store.clocks.set(job.source, Math.max(known, latest + 1));
}

/** Bytes of a view's number before an entity's key. */
const HEAD = 4;

function storeValue(name: string, said: ByteReader, store: ScriptStore): number {
  const value = said.bytes().slice();
  said.zigzag();
  if (value.length > 0) store.values.set(name, value);
  return said.zigzag();
}

function letter(store: ScriptStore, code: string, { partition, offset }: RandomMessage): void {
  store.letters.add(`${code} ${partition} ${offset}`);
}

function bufferOf(bytes: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(bytes.length);
  new Uint8Array(copy).set(bytes);
  return copy;
}
