import fc from "fast-check";
import { expect, test } from "vitest";
import { millraceError } from "../../../src/definitions/errors.ts";
import { compileMessageDecoder } from "../../../src/ingestion/decoders/message-decoder.ts";
import type { SourceColumn } from "../../../src/ingestion/decoders/row-decoder.ts";
import { type IdempotencyLog, memoryIdempotencyLog } from "../../../src/ingestion/idempotency-log.ts";
import { type HttpPushOptions, type HttpPushSource, httpPush } from "../../../src/ingestion/sources/http-push.ts";
import { type StreamIngestion, streamIngestion } from "../../../src/ingestion/stream-ingestion.ts";
import type { MessageBatch } from "../../../src/ingestion/stream-message.ts";

const columns: readonly SourceColumn[] = [
  { name: "at", type: { kind: "timestamp", nullable: false } },
  { name: "n", type: { kind: "int64", nullable: false } },
];
const decoder = compileMessageDecoder(columns, { eventTime: "at" });
const T0 = Date.UTC(2026, 0, 1);
const event = (n: number | string, at = T0) => ({ at, n });

interface Fixture {
  readonly source: HttpPushSource;
  readonly ingestion: StreamIngestion;
  readonly batches: MessageBatch[];
  readonly run: Promise<void>;
}

async function start(
  options: Partial<HttpPushOptions> = {},
  handler: (batch: MessageBatch) => Promise<void> = async () => {},
  resume = -1,
): Promise<Fixture> {
  const batches: MessageBatch[] = [];
  const source = httpPush({ decoder, futureBoundMs: 60_000, now: () => T0, ...options });
  let opened: () => void = () => {};
  const isOpen = new Promise<void>((resolve) => {
    opened = resolve;
  });
  const ingestion = streamIngestion({
    source: "events",
    reader: { ...source, open: (from) => source.open(from).then(opened) },
    decode: decoder.decode,
    eventTimeIndex: 0,
    futureBoundMs: 60_000,
    resume: async () => ({ offset: resume, cursor: null }),
    maxBatch: 4,
    handler: async (batch) => {
      await handler(batch);
      batches.push(batch);
    },
    retry: { sleep: async () => {} },
  });
  const run = ingestion.run();
  await isOpen;
  return { source, ingestion, batches, run };
}

const numbers = (batches: readonly MessageBatch[]): readonly unknown[] =>
  batches.flatMap((batch) => batch.messages.map((message) => message.payload[1]));

test("a push resolves once its events are handled, with positions that go on from the last committed one", async () => {
  const { source, ingestion, batches } = await start({}, undefined, 41);
  expect(await source.push([event(1), event(2)])).toEqual({ accepted: 2, rejected: [], duplicate: false });
  expect(batches[0]).toMatchObject({ partition: "http:0", lastOffset: 43 });
  expect(batches[0]!.messages.map((message) => [message.offset, message.ingestedAt])).toEqual([
    [42, T0],
    [43, T0],
  ]);
  await ingestion.close();
});

test("bad events are rejected one by one and the others accepted", async () => {
  const { source, ingestion, batches } = await start();
  const result = await source.push([
    event(1),
    { n: 1 },
    5,
    event(2, T0 + 60_001),
    "{no json",
    `{"at":${T0},"n":9007199254740993}`,
  ]);
  expect(result.accepted).toBe(2);
  expect(result.rejected.map(({ index, code }) => [index, code])).toEqual([
    [1, "INVALID_VALUE"],
    [2, "DECODE_FAILED"],
    [3, "EVENT_TIME_IN_FUTURE"],
    [4, "DECODE_FAILED"],
  ]);
  expect(numbers(batches)).toEqual([1n, 9007199254740993n]);
  expect(await source.push([{}])).toMatchObject({ accepted: 0, rejected: [{ index: 0 }] });
  await ingestion.close();
});

test("text is read with all digits, as an array and as lines", async () => {
  const { source, ingestion, batches } = await start();
  await source.pushText(` [{"at":${T0},"n":9007199254740993}]`);
  const lines = await source.pushText(`{"at":${T0},"n":9007199254740995}\r\n\n{bad\n`);
  expect(lines).toMatchObject({ accepted: 1, rejected: [{ index: 1, code: "DECODE_FAILED" }] });
  expect(numbers(batches)).toEqual([9007199254740993n, 9007199254740995n]);
  await expect(source.pushText("[{]")).rejects.toMatchObject({ code: "DECODE_FAILED" });
  await ingestion.close();
});

test("a push under a known key is answered as the first was and applied once, also concurrently and after a restart", async () => {
  const log = memoryIdempotencyLog({ now: () => T0 });
  const first = await start({ idempotencyLog: log });
  const answers = await Promise.all([
    first.source.push([event(1), {}], { idempotencyKey: "k" }),
    first.source.push([event(1), {}], { idempotencyKey: "k" }),
  ]);
  expect(answers.map((answer) => answer.duplicate)).toEqual([false, true]);
  expect(first.batches[0]!.pushes).toMatchObject([{ idempotencyKey: "k", firstOffset: 0, lastOffset: 0, accepted: 1 }]);
  await first.ingestion.close();
  const second = await start({ idempotencyLog: log });
  expect(await second.source.push([event(1), {}], { idempotencyKey: "k" })).toMatchObject({
    accepted: 1,
    rejected: [{ index: 1 }],
    duplicate: true,
  });
  expect(numbers(first.batches)).toEqual([1n]);
  expect(second.batches).toEqual([]);
  await second.ingestion.close();
});

test("of one push at two processes at once, the one that is committed second is answered as the first was", async () => {
  const log = memoryIdempotencyLog({ now: () => T0 });
  const committed = Promise.withResolvers<void>();
  const one = await start({ idempotencyLog: log, partition: "http:0" });
  const other = await start({ idempotencyLog: log, partition: "http:1" }, () => committed.promise);
  // Both look the key up before either has committed.
  const answers = await Promise.all([
    one.source.push([event(1), {}], { idempotencyKey: "k" }).finally(committed.resolve),
    other.source.push([event(1), event(2)], { idempotencyKey: "k" }),
  ]);
  expect(answers).toMatchObject([
    { accepted: 1, rejected: [{ index: 1 }], duplicate: false },
    { accepted: 1, rejected: [{ index: 1 }], duplicate: true },
  ]);
  await one.ingestion.close();
  await other.ingestion.close();
});

test("a key is forgotten after the log's window", async () => {
  let now = 0;
  const log = memoryIdempotencyLog({ windowMs: 10, now: () => now });
  const push = {
    idempotencyKey: "k",
    partition: "http:0",
    firstOffset: 0,
    lastOffset: 0,
    accepted: 1,
    rejected: [],
    at: 0,
  };
  await log.record([push]);
  now = 10;
  expect(await log.seen(["k", "other"])).toEqual([push, null]);
  now = 11;
  expect(await log.seen(["k"])).toEqual([null]);
});

test("a full queue refuses with BACK_PRESSURE and takes nothing, and takes pushes again once it has drained", async () => {
  let finish: () => void = () => {};
  const stuck = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const { source, ingestion, batches } = await start({ maxQueued: 3 }, () => stuck);
  const first = source.push([event(1), event(2)]);
  await expect(source.push([event(3), event(4)])).rejects.toMatchObject({
    code: "BACK_PRESSURE",
    kind: "operational",
    details: { retry_after_seconds: 1 },
  });
  await expect(source.push([1, 2, 3, 4])).rejects.toMatchObject({ code: "PUSH_TOO_LARGE" });
  finish();
  await first;
  await source.push([event(3), event(4)]);
  expect(numbers(batches)).toEqual([1n, 2n, 3n, 4n]);
  await ingestion.close();
});

test("pushes that are not settled when the source stops are rejected, as are those that come later", async () => {
  const { source, run } = await start({}, async () => {
    throw millraceError("PARTITION_FENCED", "Another process owns the partition.");
  });
  const push = source.push([event(1)]);
  const rejected = expect(push).rejects.toMatchObject({ code: "SOURCE_CLOSED" });
  await expect(run).rejects.toMatchObject({ code: "PARTITION_FENCED" });
  await rejected;
  await expect(source.push([event(2)])).rejects.toMatchObject({ code: "SOURCE_CLOSED" });
});

test("no push is split over batches, whatever their sizes, and order is kept", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 }), async (sizes) => {
      const { source, ingestion, batches } = await start();
      let n = 0;
      const sent = sizes.map((size) => Array.from({ length: size }, () => event(n++)));
      await Promise.all(sent.map((events, i) => source.push(events, { idempotencyKey: `k${i}` })));
      expect(numbers(batches)).toEqual(Array.from({ length: n }, (_, i) => BigInt(i)));
      const pushes = batches.flatMap((batch) => batch.pushes ?? []);
      expect(pushes.map((push) => push.accepted)).toEqual(sizes);
      for (const batch of batches) {
        for (const push of batch.pushes ?? []) {
          const inside = batch.messages.filter(({ offset }) => offset >= push.firstOffset && offset <= push.lastOffset);
          expect(inside).toHaveLength(push.accepted);
        }
      }
      await ingestion.close();
    }),
    { numRuns: 30 },
  );
});

test("a log that fails for a while delays the answer and loses nothing", async () => {
  const inner = memoryIdempotencyLog({ now: () => T0 });
  let failures = 2;
  const log: IdempotencyLog = {
    seen: inner.seen,
    record: async (pushes) => {
      if (failures-- > 0) throw millraceError("STORE_UNAVAILABLE", "down", { kind: "operational" });
      await inner.record(pushes);
    },
  };
  const { source, ingestion, batches } = await start({ idempotencyLog: log });
  expect(await source.push([event(1)], { idempotencyKey: "k" })).toMatchObject({ accepted: 1 });
  expect(batches).toHaveLength(1);
  expect(await source.push([event(1)], { idempotencyKey: "k" })).toMatchObject({ duplicate: true });
  await ingestion.close();
});
