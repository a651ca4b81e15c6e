import type { RowFunction } from "../../../src/definitions/expression.ts";
import type { BeamFitJob } from "../../../src/feature_engineering/beam/beam-fit-job.ts";
import type { FitScript } from "../../../src/feature_engineering/beam/script/fit-script.ts";
import type { FitLine } from "../../../src/feature_engineering/beam/script/fit-settings.ts";
import { openFitting } from "../../../src/feature_engineering/beam/script/main.ts";
import { createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import type { RandomMessage } from "./random-stream.ts";
import type { Choose } from "./script-host.ts";

type Element = readonly [key: Uint8Array, bytes: Uint8Array];
type Step = Exclude<keyof FitScript, "describe" | "identify" | "fitCompact">;

/** The script of a job, as a worker has it. */
export function openFitScript({ script, plan, settings }: BeamFitJob): FitScript {
  const functions = new Function(
    `const millrace = { open: (plan, settings, functions) => functions };${script}; return openJob("", "");`,
  )() as Record<string, RowFunction>;
  return openFitting(plan, JSON.stringify(settings), functions, null);
}

/**
 * Does in one thread what the pipeline and a runner do around the script: bundles of any size, groups in any order with
 * their blocks in any order, partials that are made one in any order. All of it as `choose` says; `history` has the
 * messages by source, `frame` the lines of the training frame.
 */
export function runFit(
  job: BeamFitJob,
  history: ReadonlyMap<string, readonly RandomMessage[]>,
  frame: readonly string[],
  choose: Choose,
): FitLine[] {
  const script = openFitScript(job);
  const described = JSON.parse(script.describe()) as {
    readonly sources: readonly { readonly name: string; readonly has_id: boolean }[];
    readonly passes: readonly (readonly number[])[];
    readonly profile: boolean;
  };
  const lines: FitLine[] = [];

  function call(step: Step, text: string, bytes: ArrayBuffer): Element[] {
    const said = createByteReader(script[step](text, bytes));
    const elements: Element[] = [];
    for (let kind = said.u8(); kind !== 0; kind = said.u8()) {
      if (kind === 1) elements.push([said.bytes().slice(), said.bytes().slice()]);
      else if (kind === 2) lines.push(JSON.parse(said.string()) as FitLine);
      else {
        said.string();
        said.string();
        said.varint();
      }
    }
    return elements;
  }
  function messages(step: Step, source: number, all: readonly RandomMessage[]): Element[] {
    return bundles(shuffled(all, choose), choose).flatMap((bundle) => {
      const { text, bytes } = messageFrame(source, bundle);
      return call(step, text, bytes);
    });
  }
  function elements(step: Step, number: number, text: string, all: readonly Element[]): Element[] {
    return bundles(shuffled(all, choose), choose).flatMap((bundle) =>
      call(
        step,
        text,
        groupFrame(
          number,
          bundle.map(([key, bytes]) => [key, [bytes]]),
        ),
      ),
    );
  }
  function grouped(step: Step, all: readonly Element[]): Element[] {
    const groups = [...groupsOf(shuffled(all, choose)).values()];
    return bundles(shuffled(groups, choose), choose).flatMap((bundle) => call(step, "", groupFrame(0, bundle)));
  }
  function merged(all: readonly Element[]): Element[] {
    return [...groupsOf(shuffled(all, choose)).values()].map(([key, blocks]): Element => {
      const parts = [...blocks];
      while (parts.length > 1) {
        const taken = parts.splice(0, 2 + choose(3));
        const joined = Buffer.concat(taken);
        const one = choose(2) === 0 || joined.length === 0 ? joined : script.fitCompact("", bufferOf(joined));
        parts.splice(choose(parts.length + 1), 0, one);
      }
      return [key, parts[0]!];
    });
  }

  const entries = described.sources.flatMap(({ name, has_id }, source) => {
    const all = history.get(name)!;
    return messages("fitEvents", source, has_id ? distinct(script, source, all) : all);
  });
  const rows = frame.map((text, offset) => ({ partition: 0, offset, text, arrival: -1, row: null }));
  entries.push(...messages("fitLookups", described.sources.length, rows));
  const read = grouped("fitRead", entries);
  const parts = messages("fitParts", described.sources.length, rows);
  const chunks = grouped("fitAssemble", [...parts, ...read]);
  const state: string[] = [];
  for (const [index, fits] of described.passes.entries()) {
    const seeds = fits.map((fit): Element => [Uint8Array.of(fit), new Uint8Array(0)]);
    const partials = elements("fitLearn", index + 1, shuffled(state, choose).join("\n"), chunks);
    const finished = elements("fitFinish", 0, "", merged([...partials, ...seeds]));
    state.push(...finished.map(([, bytes]) => Buffer.from(bytes).toString("utf8")));
  }
  lines.push(...state.map((line) => JSON.parse(line) as FitLine));
  if (described.profile) {
    const columns = elements("fitSample", 0, state.join("\n"), chunks);
    const profiles = grouped("fitProfile", columns);
    lines.push(...profiles.map(([, bytes]) => JSON.parse(Buffer.from(bytes).toString("utf8")) as FitLine));
  }
  return lines;
}

/** The first of each event by its position, as the host finds it. */
function distinct(script: FitScript, source: number, all: readonly RandomMessage[]): RandomMessage[] {
  const { text, bytes } = messageFrame(source, all);
  const said = createByteReader(script.identify(text, bytes));
  const first = new Map<string, RandomMessage>();
  for (const message of all) {
    const kind = said.u8();
    if (kind === 1) {
      said.string();
      said.string();
    }
    if (kind !== 2) continue;
    const identity = Buffer.from(said.bytes()).toString("hex");
    said.skip(16);
    said.zigzag();
    const known = first.get(identity);
    if (known === undefined || message.offset < known.offset) first.set(identity, message);
  }
  return [...first.values()];
}

function messageFrame(source: number, messages: readonly RandomMessage[]): { text: string; bytes: ArrayBuffer } {
  const frame = createByteWriter();
  frame.varint(source);
  const partitions = [...new Set(messages.map(({ partition }) => partition))];
  frame.varint(partitions.length);
  for (const partition of partitions) {
    frame.string(String(partition));
    frame.string("");
  }
  // As text.
  frame.varint(0);
  frame.varint(messages.length);
  for (const { partition, text, offset } of messages) {
    frame.varint(partitions.indexOf(partition));
    frame.varint(text === null ? 0 : text.length + 1);
    frame.zigzag(offset);
    // A file does not say when a message arrived.
    frame.zigzag(0);
  }
  return { text: messages.map(({ text }) => text ?? "").join(""), bytes: bufferOf(frame.finish()) };
}

type Group = readonly [key: Uint8Array, blocks: readonly Uint8Array[]];

function groupFrame(number: number, groups: readonly Group[]): ArrayBuffer {
  const frame: ByteWriter = createByteWriter();
  frame.varint(number);
  for (const [key, blocks] of groups) {
    frame.u8(1);
    frame.bytes(key);
    for (const block of blocks) {
      frame.u8(1);
      frame.bytes(block);
    }
    frame.u8(0);
  }
  frame.u8(0);
  return bufferOf(frame.finish());
}

function groupsOf(elements: readonly Element[]): Map<string, [Uint8Array, Uint8Array[]]> {
  const groups = new Map<string, [Uint8Array, Uint8Array[]]>();
  for (const [key, bytes] of elements) {
    const name = Buffer.from(key).toString("hex");
    const group = groups.get(name) ?? [key, []];
    group[1].push(bytes);
    groups.set(name, group);
  }
  return groups;
}

function bundles<T>(all: readonly T[], choose: Choose): (readonly T[])[] {
  const found: (readonly T[])[] = [];
  for (let from = 0; from < all.length; ) {
    const bundle = all.slice(from, from + 1 + choose(40));
    from += bundle.length;
    found.push(bundle);
  }
  return found;
}

function shuffled<T>(all: readonly T[], choose: Choose): T[] {
  const items = [...all];
  for (let i = items.length - 1; i > 0; i--) {
    const j = choose(i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

function bufferOf(bytes: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(bytes.length);
  new Uint8Array(copy).set(bytes);
  return copy;
}
