import { type ByteReader, createByteReader } from "../../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../../encoding/byte-writer.ts";
import type { FitProblem } from "./fit-settings.ts";

/**
 * What a function of fitting gives the host: of each element a 1, its key and its bytes; of each problem a 2 and its
 * JSON; of each counter a 3, its source, its name and by how much it grew; at the end a 0.
 */
export interface FitOutput {
  element(key: Uint8Array, bytes: Uint8Array): void;
  problem(problem: FitProblem): void;
  count(source: string, name: string, by: number): void;
}

export function fitOutput(out: ByteWriter): FitOutput {
  return {
    element(key, bytes) {
      out.u8(1);
      out.bytes(key);
      out.bytes(bytes);
    },
    problem({ code, message }) {
      out.u8(2);
      out.string(JSON.stringify({ problem: { code, message } }));
    },
    count(source, name, by) {
      if (by === 0) return;
      out.u8(3);
      out.string(source);
      out.string(name);
      out.varint(by);
    },
  };
}

/** Gathers entries of keys, in any order, and gives the entries of each key as one element. */
export interface FitBlocks {
  /** Takes an entry. */
  readonly entry: ByteWriter;
  /** Ends the entry, which is of the key with this id; `key` makes the key's bytes when it is new. */
  end(id: unknown, key: () => Uint8Array): void;
  /** Gives all, each with `head` before its entries, and begins anew. */
  flush(out: FitOutput, head?: number): void;
}

export function createFitBlocks(): FitBlocks {
  const entry = createByteWriter(1 << 16);
  const block = createByteWriter(1 << 12);
  let keys = new Map<unknown, { readonly key: Uint8Array; readonly slices: number[] }>();
  let from = 0;
  return {
    entry,
    end(id, key) {
      let known = keys.get(id);
      if (known === undefined) {
        known = { key: key(), slices: [] };
        keys.set(id, known);
      }
      known.slices.push(from, entry.position);
      from = entry.position;
    },
    flush(out, head) {
      const all = entry.view();
      for (const { key, slices } of keys.values()) {
        block.reset();
        if (head !== undefined) block.u8(head);
        for (let i = 0; i < slices.length; i += 2) block.raw(all.subarray(slices[i], slices[i + 1]));
        out.element(key, block.view());
      }
      keys = new Map();
      entry.reset();
      from = 0;
    },
  };
}

/** A key and its blocks; null: they are too many bytes. */
export interface FitGroup<Blocks = readonly Uint8Array[]> {
  readonly key: Uint8Array;
  readonly blocks: Blocks;
}

/**
 * Reads what the host gives: of each group a 1, its key, of each of its blocks a 1 and the block, a 0; or a 2 and its key
 * where the blocks are too many bytes; at the end a 0.
 */
export function* fitGroups(input: ByteReader): Generator<FitGroup | FitGroup<null>> {
  for (let kind = input.u8(); kind !== 0; kind = input.u8()) {
    const key = input.bytes();
    if (kind === 2) {
      yield { key, blocks: null };
      continue;
    }
    const blocks: Uint8Array[] = [];
    while (input.u8() === 1) blocks.push(input.bytes());
    yield { key, blocks };
  }
}

/** The bytes of a number that is a key. */
export function numberKey(number: number): Uint8Array {
  scratch.reset();
  scratch.varint(number);
  return scratch.finish();
}

const scratch = createByteWriter(16);

export function readNumberKey(key: Uint8Array): number {
  return createByteReader(key).varint();
}
