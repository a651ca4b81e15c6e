import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileText } from "./file-text.ts";
import { mergeRuns, type SortedRun } from "./merge-runs.ts";
import { jsonLinesFramer } from "./record-framer.ts";
import type { KeyedRecord } from "./replay-file.ts";

export interface ExternalSortOptions {
  /** Records sorted in memory at once. Default 100,000. */
  readonly chunkRecords?: number;
  /** Characters of record text held in memory at once. Default 64 Mi. */
  readonly chunkChars?: number;
  /** Runs merged at once; more are merged in several passes. Default 64. */
  readonly fanIn?: number;
  /** Where temporary files go. Default: the system's folder for them. */
  readonly tempFolder?: string;
}

/** Sorts records by key with bounded memory; equal keys keep their order. */
export interface ExternalSort {
  /** Reads the records to their end and gives sorted runs, of which earlier ones win between equal keys. */
  sort(records: AsyncIterable<readonly KeyedRecord[]>): Promise<readonly SortedRun[]>;
  /** Removes the temporary files. */
  close(): Promise<void>;
}

const WRITE_RECORDS = 1024;

function byKey(a: KeyedRecord, b: KeyedRecord): number {
  // −Infinity − −Infinity is NaN, which sorting takes for equal.
  return a.key - b.key;
}

function encode(record: KeyedRecord): string {
  const { key, file, raw, failure } = record;
  // As it is where a line can hold it, which spares most records an escaping and its undoing.
  if (failure === null && !/[\r\n]/.test(raw)) return `${key}\t${file}\t=${raw}\n`;
  return `${key}\t${file}\t${JSON.stringify([raw, failure])}\n`;
}

function decode(line: string): KeyedRecord {
  const first = line.indexOf("\t");
  const second = line.indexOf("\t", first + 1);
  const key = Number(line.slice(0, first));
  const file = Number(line.slice(first + 1, second));
  if (line.charAt(second + 1) === "=") return { file, key, raw: line.slice(second + 2), failure: null };
  const [raw, failure] = JSON.parse(line.slice(second + 1)) as [string, string | null];
  return { file, key, raw, failure };
}

async function* readSpilled(path: string): AsyncGenerator<readonly KeyedRecord[]> {
  const framer = jsonLinesFramer(Number.POSITIVE_INFINITY);
  for await (const piece of fileText(path)) yield framer(piece, false).map((line) => decode(line as string));
  yield framer("", true).map((line) => decode(line as string));
}

/** Makes an external merge sort: chunks are sorted in memory, spilled as lines of text, and merged by the caller. */
export function externalSort(options: ExternalSortOptions = {}): ExternalSort {
  const chunkRecords = options.chunkRecords ?? 100_000;
  const chunkChars = options.chunkChars ?? 64 * 1024 * 1024;
  const fanIn = Math.max(2, options.fanIn ?? 64);
  let folder: Promise<string> | null = null;
  let files = 0;
  /** Characters of the runs that stay in memory. */
  let heldChars = 0;

  const spill = async (blocks: AsyncIterable<readonly KeyedRecord[]>, firstKey: number): Promise<SortedRun> => {
    folder ??= mkdtemp(join(options.tempFolder ?? tmpdir(), "millrace-sort-"));
    const path = join(await folder, `run-${files++}.jsonl`);
    // Replayed events may be personal data: nobody else is to read them.
    const file = await open(path, "wx", 0o600);
    try {
      for await (const block of blocks) await file.appendFile(block.map(encode).join(""));
    } finally {
      await file.close();
    }
    return { firstKey, open: () => readSpilled(path) };
  };

  async function* inBlocks(chunk: readonly KeyedRecord[]): AsyncGenerator<readonly KeyedRecord[]> {
    for (let at = 0; at < chunk.length; at += WRITE_RECORDS) yield chunk.slice(at, at + WRITE_RECORDS);
  }

  const sort = async (records: AsyncIterable<readonly KeyedRecord[]>): Promise<readonly SortedRun[]> => {
    let runs: SortedRun[] = [];
    let chunk: KeyedRecord[] = [];
    let chars = 0;
    const spillChunk = async (): Promise<void> => {
      const sorted = chunk.sort(byKey);
      chunk = [];
      chars = 0;
      runs.push(await spill(inBlocks(sorted), sorted[0]!.key));
    };
    for await (const block of records) {
      for (const record of block) {
        chunk.push(record);
        chars += record.raw.length;
        if (chunk.length >= chunkRecords || chars >= chunkChars) await spillChunk();
      }
    }
    if (chunk.length > 0 && runs.length === 0 && heldChars + chars <= chunkChars) {
      heldChars += chars;
      const sorted = chunk.sort(byKey);
      return [{ firstKey: sorted[0]!.key, open: () => inBlocks(sorted) }];
    }
    if (chunk.length > 0) await spillChunk();
    while (runs.length > fanIn) {
      const merged: SortedRun[] = [];
      for (let at = 0; at < runs.length; at += fanIn) {
        // Neighbours only, so that earlier runs stay earlier.
        const group = runs.slice(at, at + fanIn);
        merged.push(await spill(mergeRuns(group), Math.min(...group.map((run) => run.firstKey))));
      }
      runs = merged;
    }
    return runs;
  };

  return {
    sort,
    close: async () => {
      const made = folder;
      folder = null;
      heldChars = 0;
      if (made !== null) await rm(await made, { recursive: true, force: true });
    },
  };
}
