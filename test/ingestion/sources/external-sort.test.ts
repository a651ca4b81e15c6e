import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { externalSort } from "../../../src/ingestion/sources/external-sort.ts";
import { mergeRuns } from "../../../src/ingestion/sources/merge-runs.ts";
import type { KeyedRecord } from "../../../src/ingestion/sources/replay-file.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-test-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function* blocksOf(records: readonly KeyedRecord[], size: number): AsyncGenerator<readonly KeyedRecord[]> {
  for (let at = 0; at < records.length; at += size) yield records.slice(at, at + size);
}

async function all(blocks: AsyncIterable<readonly KeyedRecord[]>): Promise<KeyedRecord[]> {
  const records: KeyedRecord[] = [];
  for await (const block of blocks) records.push(...block);
  return records;
}

const record = fc.record({
  file: fc.constant(0),
  key: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant(Number.NEGATIVE_INFINITY)),
  raw: fc.string({ unit: fc.constantFrom("a", "=", "\t", "\n", "\r", '"', "\\", "é"), maxLength: 8 }),
  failure: fc.option(fc.string({ maxLength: 4 })),
});

test("records come out as a stable sort in memory gives them, with any chunk and fan-in", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { maxLength: 60 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 2, max: 4 }),
      async (records, chunkRecords, fanIn) => {
        const sort = externalSort({ chunkRecords, fanIn, tempFolder: folder });
        const sorted = await all(mergeRuns(await sort.sort(blocksOf(records, 7))));
        await sort.close();
        // Array.prototype.sort is stable, and is the oracle.
        expect(sorted).toEqual([...records].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)));
      },
    ),
    { numRuns: 60 },
  );
  expect(await readdir(folder)).toEqual([]);
});

test("runs merge in key order, equal keys in the order of the runs, each opened only when it is reached", async () => {
  const opened: number[] = [];
  const run = (order: number, keys: readonly number[]) => ({
    firstKey: keys[0]!,
    open: () => {
      opened.push(order);
      return blocksOf(
        keys.map((key, i) => ({ file: order, key, raw: `${i}`, failure: null })),
        2,
      );
    },
  });
  const merged = mergeRuns([run(0, [5, 6, 6]), run(1, [1, 5, 6]), run(2, [9])]);
  expect((await all(merged)).map(({ key, file }) => `${key}/${file}`)).toEqual([
    "1/1",
    "5/0",
    "5/1",
    "6/0",
    "6/0",
    "6/1",
    "9/2",
  ]);
  expect(opened).toEqual([1, 0, 2]);
});

test("merging is sorting, for any sorted runs", async () => {
  const runs = fc.array(fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 12 }), { maxLength: 7 });
  await fc.assert(
    fc.asyncProperty(runs, fc.integer({ min: 1, max: 4 }), async (lists, size) => {
      const sorted = lists.map((keys, file) =>
        keys.sort((a, b) => a - b).map((key, i) => ({ file, key, raw: `${i}`, failure: null })),
      );
      const merged = await all(
        mergeRuns(sorted.map((list) => ({ firstKey: list[0]!.key, open: () => blocksOf(list, size) }))),
      );
      expect(merged).toEqual(sorted.flat().sort((a, b) => a.key - b.key || a.file - b.file));
    }),
    { numRuns: 200 },
  );
});

test("runs that spill are readable by their owner only, and are gone after closing", async () => {
  const sort = externalSort({ chunkRecords: 1, tempFolder: folder });
  await sort.sort(
    blocksOf(
      [
        { file: 0, key: 1, raw: "a", failure: null },
        { file: 0, key: 0, raw: "b", failure: null },
      ],
      2,
    ),
  );
  expect(await readdir(folder)).toHaveLength(1);
  await sort.close();
  expect(await readdir(folder)).toEqual([]);
});
