import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { compileMessageDecoder } from "../../../src/ingestion/decoders/message-decoder.ts";
import type { SourceColumn } from "../../../src/ingestion/decoders/row-decoder.ts";
import { type FileReplayOptions, fileReplay } from "../../../src/ingestion/sources/file-replay.ts";
import { replayClock } from "../../../src/ingestion/sources/replay-clock.ts";
import { type StreamIngestion, streamIngestion } from "../../../src/ingestion/stream-ingestion.ts";
import type { DeadLetter, MessageBatch, StreamMessage } from "../../../src/ingestion/stream-message.ts";

const columns: readonly SourceColumn[] = [
  { name: "at", type: { kind: "timestamp", nullable: false } },
  { name: "n", type: { kind: "int64", nullable: false } },
  { name: "note", type: { kind: "string", nullable: true } },
];
const T0 = Date.UTC(2026, 0, 1);

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-test-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

function jsonl(events: readonly { at: number; n: number; note?: string }[]): string {
  return events.map((event) => `${JSON.stringify({ ...event, at: new Date(event.at).toISOString() })}\n`).join("");
}

interface Run {
  readonly messages: readonly StreamMessage[];
  readonly deadLetters: readonly DeadLetter[];
  readonly partition: string;
  readonly error: unknown;
}

function loop(
  options: Partial<FileReplayOptions> & Pick<FileReplayOptions, "paths">,
  handler: (batch: MessageBatch) => Promise<void>,
  resume = -1,
  maxBatch = 3,
): StreamIngestion {
  return streamIngestion({
    source: "events",
    reader: fileReplay({ columns, eventTime: "at", ...options }),
    decode: compileMessageDecoder(columns, { eventTime: "at" }).decode,
    eventTimeIndex: 0,
    futureBoundMs: 60_000,
    resume: async () => ({ offset: resume, cursor: null }),
    handler,
    maxBatch,
    deadLetterThreshold: { share: 1, over: 1000 },
  });
}

async function replay(
  options: Partial<FileReplayOptions> & Pick<FileReplayOptions, "paths">,
  resume = -1,
  maxBatch = 3,
): Promise<Run> {
  const messages: StreamMessage[] = [];
  const deadLetters: DeadLetter[] = [];
  let partition = "";
  const handler = async (batch: MessageBatch): Promise<void> => {
    messages.push(...batch.messages);
    deadLetters.push(...batch.deadLetters);
    partition = batch.partition;
  };
  const error = await loop(options, handler, resume, maxBatch)
    .run()
    .then(
      () => null,
      (reason: unknown) => reason,
    );
  return { messages, deadLetters, partition, error };
}

const numbers = (run: Run): readonly unknown[] => run.messages.map((message) => message.payload[1]);

test("JSON lines and CSV, plain and gzip, with and without a byte order mark, give the same rows", async () => {
  const lines = jsonl([
    { at: T0, n: 1, note: "a,b" },
    { at: T0 + 1, n: 2 },
  ]);
  const iso = new Date(T0).toISOString();
  const csv = `note,n,other,at\r\n"a,b",1,x,${iso}\r\n,2,x,${iso.replace("000Z", "001Z")}\r\n`;
  const paths = [
    await file("a.jsonl", lines),
    await file("a.jsonl.gz", gzipSync(lines)),
    await file("b.csv", `\ufeff${csv}`),
    // The magic bytes decide, not the name.
    await file("c.csv", gzipSync(csv)),
  ];
  for (const path of paths) {
    const run = await replay({ paths: [path] });
    expect(run.error).toBeNull();
    expect(run.messages.map((message) => message.payload)).toEqual([
      [T0, 1n, "a,b"],
      [T0 + 1, 2n, null],
    ]);
    expect(run.messages.map(({ offset, ingestedAt, eventTime }) => [offset, ingestedAt, eventTime])).toEqual([
      [0, T0, T0],
      [1, T0 + 1, T0 + 1],
    ]);
    expect(run.partition).toMatch(/^file:[0-9a-f]{64}$/);
  }
});

const events = fc.array(fc.record({ at: fc.integer({ min: 0, max: 20 }), n: fc.constant(0) }), { maxLength: 40 });

test("any files come in event-time order, equal times in file order, and resume at any position gives exactly the rest", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(events, { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: -1, max: 130 }),
      async (lists, chunkRecords, resume) => {
        let n = 0;
        const numbered = lists.map((list) => list.map((event) => ({ at: T0 + event.at, n: n++ })));
        const paths: string[] = [];
        for (const [i, list] of numbered.entries()) paths.push(await file(`${i}.jsonl`, jsonl(list)));
        const options = { paths, sort: { chunkRecords, tempFolder: folder, fanIn: 2 } };
        const expected = numbered
          .flat()
          .sort((a, b) => a.at - b.at)
          .map((event) => BigInt(event.n));
        const whole = await replay(options);
        expect(numbers(whole)).toEqual(expected);
        expect(whole.messages.map((message) => message.offset)).toEqual(expected.map((_, i) => i));
        expect(numbers(await replay(options, resume, 4))).toEqual(expected.slice(resume + 1));
        expect((await readdir(folder)).filter((name) => name.startsWith("millrace-sort-"))).toEqual([]);
      },
    ),
    { numRuns: 40 },
  );
});

test("bad records keep their place, position and bytes, whatever order the file is in", async () => {
  const good = jsonl([
    { at: T0 + 5, n: 1 },
    { at: T0 + 1, n: 2 },
    { at: T0 + 9, n: 3 },
  ]).split("\n");
  const path = await file(
    "bad.jsonl",
    ["{broken", good[0], '{"n":1}', good[1], "[]", "", "  ", good[2], '{"at":"2026-01-01","n":4}'].join("\n"),
  );
  const run = await replay({ paths: [path] });
  expect(numbers(run)).toEqual([2n, 1n, 3n]);
  expect(run.deadLetters.map(({ offset, code, bytes }) => [offset, code, Buffer.from(bytes).toString()])).toEqual([
    [0, "DECODE_FAILED", "{broken"],
    [2, "DECODE_FAILED", "[]"],
    [4, "INVALID_VALUE", '{"n":1}'],
    [6, "INVALID_VALUE", '{"at":"2026-01-01","n":4}'],
  ]);
  expect(run.messages.map((message) => message.offset)).toEqual([1, 3, 5]);
});

test("a CSV record with missing fields, open quotes or a bad cell is a dead letter with its text", async () => {
  const at = new Date(T0).toISOString();
  const path = await file(
    "bad.csv",
    `at,n,note\n${at},1,x\n${at},2\n${at},two,x\n${at},3,"a"b\n${at},4,"open\n${at},5,"two\nlines"\n`,
  );
  const run = await replay({ paths: [path] });
  expect(numbers(run)).toEqual([1n, 5n]);
  expect(run.messages[1]!.payload[2]).toBe("two\nlines");
  expect(run.deadLetters.map((letter) => letter.reason)).toEqual([
    expect.stringContaining("has 2 fields; the file's header has 3"),
    expect.stringContaining('column "n": found the string "two"; expected an int64'),
    expect.stringContaining("after its closing quote"),
    expect.stringContaining("opens a quote and never closes it"),
  ]);
});

test("a changed byte, another order of files or another event time is another partition, a copy is the same", async () => {
  const a = await file("a.jsonl", jsonl([{ at: T0, n: 1 }]));
  const b = await file("b.jsonl", jsonl([{ at: T0, n: 2 }]));
  const copy = await file("copy.jsonl", jsonl([{ at: T0, n: 1 }]));
  const partition = async (paths: readonly string[]): Promise<string> => (await replay({ paths })).partition;
  const seen = [await partition([a]), await partition([b]), await partition([a, b]), await partition([b, a])];
  expect(new Set(seen).size).toBe(4);
  expect(await partition([copy])).toBe(seen[0]);
});

test("folders and patterns give their files by name", async () => {
  await mkdir(join(folder, "in"));
  await file("in/2.jsonl", jsonl([{ at: T0, n: 2 }]));
  await file("in/1.jsonl", jsonl([{ at: T0, n: 1 }]));
  await file("in/readme.txt", "none of it");
  expect(numbers(await replay({ paths: [join(folder, "in")] }))).toEqual([1n, 2n]);
  expect(numbers(await replay({ paths: [join(folder, "in", "*.jsonl")] }))).toEqual([1n, 2n]);
});

test("what cannot be opened is said at open, by name", async () => {
  const header = await file("header.csv", "at,number\n");
  const unclear = await file("unclear.dat", "");
  expect((await replay({ paths: [join(folder, "none.csv")] })).error).toMatchObject({ code: "FILE_NOT_FOUND" });
  expect((await replay({ paths: [join(folder, "*.parquet")] })).error).toMatchObject({ code: "FILE_NOT_FOUND" });
  expect((await replay({ paths: [header] })).error).toMatchObject({
    code: "FILE_COLUMN_MISSING",
    details: { missing: ["n", "note"] },
  });
  expect((await replay({ paths: [unclear] })).error).toMatchObject({ code: "FILE_FORMAT_UNKNOWN" });
  const lacking = await file("lacking.csv", `at,n\n${new Date(T0).toISOString()},1\n`);
  expect(numbers(await replay({ paths: [lacking], missingColumns: "null" }))).toEqual([1n]);
});

test("what came before the corrupt place of a gzip file is kept, and then the error is told", async () => {
  const count = 20_000;
  const content = gzipSync(
    jsonl(Array.from({ length: count }, (_, n) => ({ at: T0 + n, n, note: String(Math.sin(n)) }))),
  );
  const cut = await file("cut.jsonl.gz", content.subarray(0, content.length >> 1));
  const damaged = Buffer.from(content);
  damaged.fill(0xaa, content.length >> 1, (content.length >> 1) + 64);
  for (const path of [cut, await file("damaged.jsonl.gz", damaged)]) {
    const run = await replay({ paths: [path] }, -1, 1000);
    expect(run.error).toMatchObject({ code: "FILE_CORRUPT", details: { position: expect.any(Number) } });
    expect(run.messages.length).toBeGreaterThan(count / 4);
    expect(numbers(run).slice(0, 5000)).toEqual(Array.from({ length: 5000 }, (_, n) => BigInt(n)));
    const again = await replay({ paths: [path] }, 4999, 1000);
    expect(again.messages).toEqual(run.messages.filter((message) => message.offset > 4999));
  }
});

test("the arrival time comes from its declared column, and a future event is judged by it", async () => {
  const iso = (ms: number): string => new Date(ms).toISOString();
  const path = await file(
    "arrival.csv",
    `at,n,note,arrived\n${iso(T0)},1,,${iso(T0 + 5)}\n${iso(T0 + 90_000)},2,,${iso(T0)}\n${iso(T0 + 90_001)},3,,\n`,
  );
  const run = await replay({ paths: [path], ingestedAt: { name: "arrived" } });
  expect(run.messages.map((message) => [message.payload[1], message.ingestedAt])).toEqual([
    [1n, T0 + 5],
    [3n, T0 + 90_001],
  ]);
  expect(run.deadLetters.map((letter) => letter.code)).toEqual(["EVENT_TIME_IN_FUTURE"]);
});

test("map makes the schema's records, may leave one out, and its failure is a dead letter", async () => {
  const path = await file("map.csv", "year,n\n2026,1\n2025,2\nleave,3\nfail,4\n");
  const run = await replay({
    paths: [path],
    map: (record) => {
      if (record.year === "fail") throw new TypeError("no year");
      return record.year === "leave" ? null : { at: `${record.year}-01-01T00:00:00Z`, n: record.n };
    },
  });
  expect(numbers(run)).toEqual([2n, 1n]);
  expect(run.deadLetters.map((letter) => [letter.offset, letter.reason])).toEqual([
    [1, "The replay's map failed: no year"],
  ]);
});

test("lag counts what is not committed yet, in messages and seconds of event time", async () => {
  const path = await file(
    "lag.jsonl",
    jsonl([
      { at: T0, n: 1 },
      { at: T0 + 1000, n: 2 },
      { at: T0 + 5000, n: 3 },
    ]),
  );
  const reader = fileReplay({ paths: [path], columns, eventTime: "at" });
  await reader.open(async () => ({ offset: -1, cursor: null }));
  const batch = await reader.fetch(2, new AbortController().signal);
  expect(await reader.lag()).toMatchObject([{ messages: 3, seconds: 4 }]);
  await reader.checkpoint(batch!.partition, 1);
  expect(await reader.lag()).toMatchObject([{ messages: 1, seconds: 4 }]);
  await reader.close();
});

test("a driver holds several replays at any time and knows when all before it is committed", async () => {
  const list = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(
      list,
      list,
      fc.array(fc.integer({ min: 0, max: 32 }), { maxLength: 6 }),
      async (left, right, stops) => {
        const clock = replayClock({ hold: true });
        const committed: number[] = [];
        const runs: Promise<void>[] = [];
        for (const [i, times] of [left, right].entries()) {
          const path = await file(`${i}.jsonl`, jsonl(times.map((at, n) => ({ at: T0 + at, n }))));
          const handler = async (batch: MessageBatch): Promise<void> => {
            // A handler that takes a while: what is handed on is not settled before it resolves.
            await new Promise((resolve) => setImmediate(resolve));
            committed.push(...batch.messages.map((message) => message.eventTime - T0));
          };
          runs.push(loop({ paths: [path], clock, name: `${i}` }, handler).run());
        }
        const all = [...left, ...right].sort((a, b) => a - b);
        for (const stop of [...stops].sort((a, b) => a - b)) {
          clock.advanceTo(T0 + stop);
          await clock.settled(T0 + stop);
          expect([...committed].sort((a, b) => a - b)).toEqual(all.filter((at) => at < stop));
        }
        clock.release();
        await Promise.all([...runs, clock.settled(Number.POSITIVE_INFINITY)]);
        expect([...committed].sort((a, b) => a - b)).toEqual(all);
      },
    ),
    { numRuns: 30 },
  );
});

test("whoever waits for a replay that failed is told", async () => {
  const path = await file(
    "fails.jsonl",
    jsonl([
      { at: T0, n: 1 },
      { at: T0 + 10, n: 2 },
    ]),
  );
  const clock = replayClock();
  const run = loop({ paths: [path], clock }, async () => {
    throw new TypeError("a bug");
  }).run();
  await expect(clock.settled(T0 + 5)).rejects.toMatchObject({ code: "REPLAY_SOURCE_LEFT" });
  await expect(run).rejects.toThrow("a bug");
});

test("what lies behind a corrupt place never counts as delivered", async () => {
  const events = Array.from({ length: 2000 }, (_, n) => ({ at: T0 + n, n, note: String(Math.sin(n)) }));
  const content = gzipSync(jsonl(events));
  const path = await file("cut.jsonl.gz", content.subarray(0, content.length >> 1));
  const clock = replayClock();
  const run = loop({ paths: [path], clock }, async () => {}, -1, 1000).run();
  const settled = expect(clock.settled(T0 + 2000)).rejects.toMatchObject({ code: "REPLAY_SOURCE_LEFT" });
  await expect(run).rejects.toMatchObject({ code: "FILE_CORRUPT" });
  await settled;
});
