import { channel } from "node:diagnostics_channel";
import fc from "fast-check";
import { expect, test } from "vitest";
import { millraceError } from "../../src/definitions/errors.ts";
import {
  INGESTION_BATCH_CHANNEL,
  INGESTION_LAG_CHANNEL,
  type IngestionLagEvent,
} from "../../src/ingestion/channels.ts";
import { compileMessageDecoder } from "../../src/ingestion/decoders/message-decoder.ts";
import type { SourceColumn } from "../../src/ingestion/decoders/row-decoder.ts";
import type { MessageSource } from "../../src/ingestion/message-source.ts";
import { memorySource } from "../../src/ingestion/sources/memory-source.ts";
import {
  type StreamIngestion,
  type StreamIngestionOptions,
  streamIngestion,
} from "../../src/ingestion/stream-ingestion.ts";
import type { MessageBatch } from "../../src/ingestion/stream-message.ts";

const columns: readonly SourceColumn[] = [
  { name: "at", type: { kind: "timestamp", nullable: false } },
  { name: "n", type: { kind: "int64", nullable: false } },
];
const T0 = Date.UTC(2026, 0, 1);
const event = (n: number): Record<string, unknown> => ({ at: T0 + n, n });

function start(reader: MessageSource, options: Partial<StreamIngestionOptions> = {}): StreamIngestion {
  return streamIngestion({
    source: "events",
    reader,
    decode: compileMessageDecoder(columns, { eventTime: "at" }).decode,
    eventTimeIndex: 0,
    futureBoundMs: 60_000,
    resume: async () => ({ offset: -1, cursor: null }),
    handler: async () => {},
    maxBatch: 3,
    retry: { sleep: async () => {} },
    now: () => T0,
    ...options,
  });
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const operational = (): Error => millraceError("STORE_UNAVAILABLE", "down", { kind: "operational" });

/** A handler that stops at each batch until it is let go. */
function steppedHandler() {
  const started: MessageBatch[] = [];
  let release: (() => void)[] = [];
  return {
    started,
    handler: (batch: MessageBatch) =>
      new Promise<void>((resolve) => {
        started.push(batch);
        release.push(resolve);
      }),
    letGo: async () => {
      const waiting = release;
      release = [];
      for (const resolve of waiting) resolve();
      await turn();
    },
  };
}

test("good messages are handed on, bad ones set aside with reason, position and bytes, in any mixture", async () => {
  const values = fc.array(fc.oneof(fc.nat(100).map(event), fc.constantFrom("{", "[]", '{"n":1}')), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(
      values,
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 3 }),
      async (list, maxBatch, maxInFlight) => {
        const source = memorySource();
        source.push(list);
        source.end();
        const batches: MessageBatch[] = [];
        await start(source, {
          maxBatch,
          maxInFlight,
          deadLetterThreshold: { share: 1, over: 10 },
          handler: async (batch) => {
            await turn();
            batches.push(batch);
          },
        }).run();
        const seen = batches.flatMap(({ messages, deadLetters }) => [
          ...messages.map(({ offset, payload }) => [offset, { at: payload[0], n: Number(payload[1]) }] as const),
          ...deadLetters.map(({ offset, bytes }) => [offset, Buffer.from(bytes).toString()] as const),
        ]);
        expect(seen.sort((a, b) => a[0] - b[0])).toEqual(list.map((value, i) => [i, value]));
        expect(batches.at(-1)?.lastOffset).toBe(list.length === 0 ? undefined : list.length - 1);
      },
    ),
  );
});

test("any committed position is resumed at exactly, per partition", async () => {
  const source = memorySource();
  source.push([0, 1, 2, 3, 4].map(event), { partition: "a" });
  source.push([5, 6, 7].map(event), { partition: "b" });
  source.end();
  const seen: bigint[] = [];
  await start(source, {
    resume: async (partition) => ({ offset: partition === "a" ? 2 : -1, cursor: null }),
    handler: async (batch) => void seen.push(...batch.messages.map((message) => message.payload[1] as bigint)),
  }).run();
  expect(seen.sort()).toEqual([3n, 4n, 5n, 6n, 7n]);
});

test("while the handler works, only as many batches are fetched as may be in flight", async () => {
  for (const maxInFlight of [1, 2, 3]) {
    const source = memorySource();
    source.push(Array.from({ length: 30 }, (_, n) => event(n)));
    let fetched = 0;
    const { handler, started, letGo } = steppedHandler();
    const counted: MessageSource = {
      ...source,
      fetch: async (max, signal) => {
        const batch = await source.fetch(max, signal);
        fetched++;
        return batch;
      },
    };
    const ingestion = start(counted, { handler, maxInFlight });
    const run = ingestion.run();
    await turn();
    expect([started.length, fetched]).toEqual([1, maxInFlight]);
    await letGo();
    expect([started.length, fetched]).toEqual([2, maxInFlight + 1]);
    const closed = ingestion.close();
    await letGo();
    await closed;
    await run;
  }
});

test("drain hands on and checkpoints what was fetched, and fetches no more", async () => {
  const source = memorySource();
  source.push(Array.from({ length: 30 }, (_, n) => event(n)));
  const { handler, started, letGo } = steppedHandler();
  const checkpoints: number[] = [];
  const ingestion = start(
    { ...source, checkpoint: async (_partition, offset) => void checkpoints.push(offset) },
    { handler },
  );
  const run = ingestion.run();
  await turn();
  const drained = ingestion.drain();
  expect((await ingestion.status()).state).toBe("draining");
  await letGo();
  await letGo();
  await drained;
  await run;
  expect(started.map((batch) => batch.lastOffset)).toEqual([2, 5]);
  expect(checkpoints).toEqual([2, 5]);
  expect(await ingestion.status()).toMatchObject({ state: "stopped", messages: 6, batches: 2 });
});

test("an aborted run finishes the batch in the handler and leaves the rest for the next run", async () => {
  const source = memorySource();
  source.push(Array.from({ length: 30 }, (_, n) => event(n)));
  const { handler, started, letGo } = steppedHandler();
  const abort = new AbortController();
  const run = start(source, { handler }).run(abort.signal);
  await turn();
  abort.abort();
  await letGo();
  await run;
  expect(started).toHaveLength(1);
});

test("drain ends a loop that waits for messages, or for a broken source", async () => {
  const idle = start(memorySource());
  const idleRun = idle.run();
  await turn();
  await idle.drain();
  await idleRun;
  const broken = start(
    { ...memorySource(), fetch: async () => Promise.reject(new Error("connection refused")) },
    {
      retry: {
        sleep: (_ms, signal) =>
          new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      },
    },
  );
  const brokenRun = broken.run();
  await turn();
  expect(await broken.status()).toMatchObject({ state: "retrying", lastError: "connection refused", retries: 1 });
  await broken.drain();
  await brokenRun;
});

test("operational errors of the handler are retried with the same batch, in order, with growing jittered delays", async () => {
  const source = memorySource();
  source.push([0, 1, 2, 3, 4, 5].map(event));
  source.end();
  const calls: number[] = [];
  const delays: number[] = [];
  let failures = 4;
  await start(source, {
    handler: async (batch) => {
      calls.push(batch.lastOffset);
      if (failures-- > 0) throw operational();
    },
    retry: { sleep: async (ms) => void delays.push(ms), random: () => 0.5, baseMs: 100, maxMs: 500 },
  }).run();
  expect(calls).toEqual([2, 2, 2, 2, 2, 5]);
  expect(delays).toEqual([50, 100, 200, 250]);
});

test("another error of the handler stops the loop, and no later batch is handed on or checkpointed", async () => {
  const source = memorySource();
  source.push(Array.from({ length: 9 }, (_, n) => event(n)));
  const calls: number[] = [];
  const checkpoints: number[] = [];
  const ingestion = start(
    { ...source, checkpoint: async (_partition, offset) => void checkpoints.push(offset) },
    {
      handler: async (batch) => {
        calls.push(batch.lastOffset);
        if (batch.lastOffset === 5) throw new TypeError("a bug");
      },
    },
  );
  await expect(ingestion.run()).rejects.toThrow("a bug");
  expect([calls, checkpoints]).toEqual([[2, 5], [2]]);
  expect(await ingestion.status()).toMatchObject({ state: "failed", lastError: "a bug" });
});

test("errors of the source are retried unless they are the user's or a bug", async () => {
  const source = memorySource();
  source.push([event(1)]);
  source.end();
  let failures = 3;
  let opens = 2;
  const flaky: MessageSource = {
    ...source,
    open: async (resume) => {
      if (opens-- > 0) throw operational();
      await source.open(resume);
    },
    fetch: async (max, signal) => {
      if (failures-- > 0) throw new Error("connection reset");
      return source.fetch(max, signal);
    },
  };
  const ingestion = start(flaky);
  await ingestion.run();
  expect(await ingestion.status()).toMatchObject({ messages: 1, retries: 5 });
  const wrong = start({ ...source, open: async () => Promise.reject(millraceError("FILE_NOT_FOUND", "none")) });
  await expect(wrong.run()).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
});

test("too large a share of bad messages stops the loop before their batch is handed on", async () => {
  const source = memorySource();
  source.push([...[0, 1, 2, 3, 4, 5].map(event), "bad", event(6), "bad", "bad", event(7)]);
  source.end();
  const handled: number[] = [];
  const ingestion = start(source, {
    deadLetterThreshold: { share: 0.5, over: 4 },
    handler: async (batch) => void handled.push(batch.lastOffset),
  });
  await expect(ingestion.run()).rejects.toMatchObject({
    code: "DEAD_LETTER_THRESHOLD",
    kind: "operational",
    message: expect.stringMatching(
      /^The source "\w+" was stopped: 3 of the last 4 messages cannot be used, more than 50%\. The first: .+\. Correct the schema or the producer and start again: .*deadLetters\.share/,
    ),
  });
  expect(handled).toEqual([2, 5, 8]);
});

test("bad messages spread thinly enough never stop the loop", async () => {
  const source = memorySource();
  source.push(Array.from({ length: 400 }, (_, n) => (n % 2 === 0 ? "bad" : event(n))));
  source.end();
  await start(source, { deadLetterThreshold: { share: 0.5, over: 10 } }).run();
});

test("an event too far ahead of its arrival is a dead letter, one without a known arrival is not", async () => {
  const source = memorySource();
  source.push([event(60_000), event(60_001)], { ingestedAt: T0 });
  source.push([event(99_999_999)]);
  source.end();
  const batches: MessageBatch[] = [];
  await start(source, { maxBatch: 10, handler: async (batch) => void batches.push(batch) }).run();
  expect(batches[0]!.deadLetters.map(({ offset, code }) => [offset, code])).toEqual([[1, "EVENT_TIME_IN_FUTURE"]]);
  expect(batches[0]!.messages.map(({ offset, ingestedAt }) => [offset, ingestedAt])).toEqual([
    [0, T0],
    [2, T0 + 99_999_999],
  ]);
});

test("a decoder that throws spoils its message only", async () => {
  const source = memorySource();
  source.push([event(1)]);
  source.end();
  const batches: MessageBatch[] = [];
  const decode = (): never => {
    throw new RangeError("out of mind");
  };
  await start(source, { decode, handler: async (batch) => void batches.push(batch) }).run();
  expect(batches[0]!.deadLetters).toMatchObject([{ code: "DECODE_FAILED", reason: "The decoder failed: out of mind" }]);
});

test("status and the channels tell how far each partition is", async () => {
  const source = memorySource();
  source.push([event(0), event(1000), "bad"]);
  const published: unknown[] = [];
  const lags: unknown[] = [];
  const onBatch = (message: unknown): void => void published.push(message);
  const onLag = (message: unknown): void => void lags.push(message);
  channel(INGESTION_BATCH_CHANNEL).subscribe(onBatch);
  channel(INGESTION_LAG_CHANNEL).subscribe(onLag);
  const ingestion = start(source, { now: () => T0 + 5000, deadLetterThreshold: { share: 1, over: 10 } });
  const run = ingestion.run();
  await turn();
  source.push([event(2000)], { partition: "idle" });
  await turn();
  expect(await ingestion.status()).toMatchObject({
    state: "running",
    messages: 3,
    deadLetters: 1,
    lastEventTime: T0 + 2000,
    partitions: [
      { partition: "0", lastOffset: 2, lastEventTime: T0 + 1000, lagMessages: 0, lagSeconds: 0 },
      { partition: "idle", lastOffset: 0, lagMessages: 0 },
    ],
  });
  await ingestion.close();
  await run;
  channel(INGESTION_BATCH_CHANNEL).unsubscribe(onBatch);
  channel(INGESTION_LAG_CHANNEL).unsubscribe(onLag);
  expect(published[0]).toMatchObject({
    source: "events",
    partition: "0",
    messages: 2,
    deadLetters: 1,
    deadLetterCodes: { DECODE_FAILED: 1 },
    lastOffset: 2,
    lastEventTime: T0 + 1000,
  });
  expect(lags).toMatchObject([{ source: "events", partitions: [{ partition: "0" }, { partition: "idle" }] }]);
});

test("a partition that is read no more is told of once, with no lag", async () => {
  const source = memorySource();
  source.push([event(0)], { partition: "a" });
  source.push([event(1)], { partition: "b" });
  let read = ["a", "b"];
  const lags: (readonly (readonly [string, number | null])[])[] = [];
  const onLag = (message: unknown): void => {
    const { partitions } = message as IngestionLagEvent;
    lags.push(partitions.map(({ partition, lagMessages }) => [partition, lagMessages]));
  };
  channel(INGESTION_LAG_CHANNEL).subscribe(onLag);
  const shared: MessageSource = {
    ...source,
    lag: async () => (await source.lag()).filter(({ partition }) => read.includes(partition)),
  };
  const ingestion = start(shared, { lagIntervalMs: 1 });
  const run = ingestion.run();
  await expect
    .poll(() => lags.at(-1))
    .toEqual([
      ["a", 0],
      ["b", 0],
    ]);
  read = ["b"];
  await expect.poll(() => lags.at(-1)).toEqual([["b", 0]]);
  await ingestion.close();
  await run;
  channel(INGESTION_LAG_CHANNEL).unsubscribe(onLag);
  expect(lags.filter((sample) => sample.some(([name, lag]) => name === "a" && lag === null))).toEqual([
    [
      ["b", 0],
      ["a", null],
    ],
  ]);
});

test("a loop runs once", async () => {
  const source = memorySource();
  source.end();
  const ingestion = start(source);
  await ingestion.run();
  await expect(ingestion.run()).rejects.toMatchObject({ code: "INGESTION_RUNNING" });
});
