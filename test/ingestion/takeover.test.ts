import fc from "fast-check";
import { expect, test } from "vitest";
import { millraceError } from "../../src/definitions/errors.ts";
import { compileMessageDecoder } from "../../src/ingestion/decoders/message-decoder.ts";
import type { MessageSource } from "../../src/ingestion/message-source.ts";
import { memorySource } from "../../src/ingestion/sources/memory-source.ts";
import { type StreamIngestion, streamIngestion } from "../../src/ingestion/stream-ingestion.ts";
import type { MessageBatch } from "../../src/ingestion/stream-message.ts";

const columns = [
  { name: "at", type: { kind: "timestamp", nullable: false } },
  { name: "n", type: { kind: "int64", nullable: false } },
] as const;
const T0 = Date.UTC(2026, 0, 1);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A cold store of which only the fencing is left, and the other process that takes partitions over. */
function fencingLog(total: number) {
  const partitions = new Map<string, { epoch: number; committed: number[] }>();
  const of = (name: string): { epoch: number; committed: number[] } => {
    const found = partitions.get(name) ?? { epoch: 0, committed: [] };
    partitions.set(name, found);
    return found;
  };
  const all = Promise.withResolvers<void>();
  let count = 0;
  const append = (name: string, offsets: readonly number[]): void => {
    of(name).committed.push(...offsets);
    count += offsets.length;
    if (count >= total) all.resolve();
  };
  const last = (name: string): number => of(name).committed.at(-1) ?? -1;
  return {
    all: all.promise,
    of,
    last,
    async resume(name: string) {
      await turn();
      return { offset: last(name), cursor: null, epoch: ++of(name).epoch };
    },
    commit({ partition, messages, epoch }: MessageBatch) {
      if (epoch !== of(partition).epoch) throw millraceError("PARTITION_FENCED", "fenced", { kind: "operational" });
      append(
        partition,
        messages.map((message) => message.offset).filter((offset) => offset > last(partition)),
      );
    },
    /** Somebody else takes it over, reads a little, and goes. */
    steal(name: string, most: number, size: number) {
      of(name).epoch++;
      const from = last(name) + 1;
      append(
        name,
        Array.from({ length: Math.max(0, Math.min(most, size - from)) }, (_, i) => from + i),
      );
    },
  };
}

function start(reader: MessageSource, log: ReturnType<typeof fencingLog>, handler: (batch: MessageBatch) => void) {
  return streamIngestion({
    source: "events",
    reader,
    decode: compileMessageDecoder(columns, { eventTime: "at" }).decode,
    eventTimeIndex: 0,
    futureBoundMs: null,
    resume: (partition) => log.resume(partition),
    handler: async (batch) => {
      await turn();
      handler(batch);
    },
    maxBatch: 3,
    maxInFlight: 3,
    retry: { sleep: async () => {} },
  });
}

function filled(size: number, names: readonly string[]): ReturnType<typeof memorySource> {
  const source = memorySource();
  for (const partition of names) {
    const values = Array.from({ length: size }, (_, n) => ({ at: T0 + n, n }));
    source.push(values, { partition });
  }
  return source;
}

test("what others take over meanwhile is committed once and without a gap, in every partition", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 30 }),
      fc.array(fc.option(fc.nat(5), { nil: null }), { maxLength: 30 }),
      async (size, thefts) => {
        const names = ["a", "b"];
        const log = fencingLog(2 * size);
        let step = 0;
        const ingestion: StreamIngestion = start(filled(size, names), log, (batch) => {
          const theft = thefts[step++] ?? null;
          if (theft !== null) log.steal(batch.partition, theft, size);
          log.commit(batch);
        });
        const running = ingestion.run();
        await Promise.race([log.all, running]);
        await ingestion.drain();
        await running;
        const everything = Array.from({ length: size }, (_, i) => i);
        for (const name of names) expect(log.of(name).committed).toEqual(everything);
      },
    ),
    { numRuns: 200 },
  );
});

test("of a fenced partition the batches behind are dropped, and it is taken over again only once", async () => {
  const log = fencingLog(12);
  const source = filled(12, ["a"]);
  const lost: string[] = [];
  const seen: [number | undefined, number][] = [];
  let stolen = false;
  const ingestion = start(
    {
      ...source,
      lost(partition) {
        lost.push(partition);
        source.lost!(partition);
      },
    },
    log,
    (batch) => {
      seen.push([batch.epoch, batch.messages[0]!.offset]);
      if (!stolen) log.steal("a", 0, 12);
      stolen = true;
      log.commit(batch);
    },
  );
  const running = ingestion.run();
  await log.all;
  await ingestion.drain();
  await running;
  expect(log.of("a").committed).toEqual(Array.from({ length: 12 }, (_, i) => i));
  // Epoch 2 was the thief's.
  const again = seen.filter(([epoch]) => epoch !== 1);
  expect(new Set(again.map(([epoch]) => epoch))).toEqual(new Set([Math.max(...again.map(([epoch]) => epoch!))]));
  expect(seen.filter(([epoch]) => epoch === 1).length).toBeGreaterThan(0);
  expect(lost.length).toBeLessThanOrEqual(3);
});

test("a fenced source that is alone stops, since its messages would be missing", async () => {
  const log = fencingLog(3);
  const { lost: _, ...alone } = filled(3, ["a"]);
  const ingestion = start(alone, log, (batch) => {
    log.steal("a", 0, 3);
    log.commit(batch);
  });
  await expect(ingestion.run()).rejects.toMatchObject({ code: "PARTITION_FENCED" });
});
