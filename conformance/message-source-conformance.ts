import { describe, expect, test } from "vitest";
import type {
  MessageSource,
  MessageSourceCapabilities,
  RawBatch,
  ResumePoint,
  ResumePosition,
} from "../src/ingestion/message-source.ts";
import type { RawMessage } from "../src/ingestion/stream-message.ts";

/** What the suite sends: JSON objects of a number that no other one has, and a time in milliseconds that grows with it. */
export interface ConformanceMessage {
  readonly n: number;
  readonly at: number;
}

/** Somewhere that one source after another reads. */
export interface MessageSourcePlace {
  /** A source as a new process makes it; not open yet. */
  source(): MessageSource;
  /** Sends messages. Sources that come to an end are sent everything before they are opened, others after it. */
  send(messages: readonly ConformanceMessage[]): Promise<void>;
  /** Told of each batch that the suite's cold store has committed. */
  committed?(batch: RawBatch): Promise<void>;
  remove(): Promise<void>;
}

/** What the suite needs of an adapter. */
export interface MessageSourceUnderTest {
  readonly capabilities: MessageSourceCapabilities & {
    /** What was not committed comes again to the next process; false where it goes back to who sent it. */
    readonly redelivers: boolean;
  };
  make(): Promise<MessageSourcePlace>;
}

const DEADLINE_MS = 60_000;

/** Tests of the port {@link MessageSource}; for adapters of others too. */
export function describeMessageSource(name: string, { capabilities, make }: MessageSourceUnderTest): void {
  describe(`${name} as a message source`, () => {
    async function withPlace(run: (place: MessageSourcePlace) => Promise<void>): Promise<void> {
      const place = await make();
      try {
        await run(place);
      } finally {
        await place.remove();
      }
    }

    async function opened(
      place: MessageSourcePlace,
      cold: ColdStore,
      messages: readonly ConformanceMessage[],
    ): Promise<MessageSource> {
      const source = place.source();
      if (!capabilities.endless) await place.send(messages);
      await source.open(cold.resume);
      if (capabilities.endless) await place.send(messages);
      return source;
    }

    test("declares its capabilities", () =>
      withPlace(async (place) => {
        const { monotonePositions, endless } = capabilities;
        expect(place.source().capabilities).toEqual({ monotonePositions, endless });
      }));

    test("gives every message once, at offsets that grow within its partition, not more at a time than wanted", () =>
      withPlace(async (place) => {
        const cold = coldStore(place);
        const source = await opened(place, cold, numbered(0, 50));
        const seen = await read(source, cold, 50, 7);
        expect(sorted(seen.numbers)).toEqual(sorted(numbersOf(numbered(0, 50))));
        if (source.capabilities.monotonePositions) expect(seen.largest).toBeLessThanOrEqual(50);
        for (const offsets of seen.offsets.values()) {
          expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
          expect(new Set(offsets).size).toBe(offsets.length);
        }
        if (!capabilities.endless) expect(await source.fetch(7, AbortSignal.timeout(DEADLINE_MS))).toBeNull();
        await source.close();
      }));

    test("has no lag left, or cannot tell, once everything is handled", () =>
      withPlace(async (place) => {
        const cold = coldStore(place);
        const source = await opened(place, cold, numbered(0, 20));
        const { offsets } = await read(source, cold, 20, 100);
        const lags = async (): Promise<number> => {
          if (capabilities.endless) await source.fetch(1, AbortSignal.timeout(100)).catch(() => {});
          const lag = await source.lag();
          for (const partition of offsets.keys()) expect(lag.map((one) => one.partition)).toContain(partition);
          return Math.max(...lag.map(({ messages, seconds }) => Math.max(messages ?? 0, seconds ?? 0)));
        };
        if (capabilities.endless) await expect.poll(lags, { timeout: DEADLINE_MS, interval: 100 }).toBe(0);
        await source.close();
      }));

    test.runIf(capabilities.endless)("waits for messages until it is told to stop, and has consumed nothing then", () =>
      withPlace(async (place) => {
        const cold = coldStore(place);
        const source = await opened(place, cold, []);
        const stop = new AbortController();
        const waiting = source.fetch(10, stop.signal);
        stop.abort(new RangeError("enough"));
        await expect(waiting).rejects.toThrow("enough");
        await expect(source.fetch(10, stop.signal)).rejects.toThrow("enough");
        await place.send(numbered(0, 10));
        const { numbers } = await read(source, cold, 10, 10);
        expect(sorted(numbers)).toEqual(numbersOf(numbered(0, 10)));
        await source.close();
      }),
    );

    test.runIf(capabilities.redelivers)("gives the next process what was not committed, and nothing else", () =>
      withPlace(async (place) => {
        const cold = coldStore(place);
        const first = await opened(place, cold, numbered(0, 40));
        const before = await read(first, cold, 15, 5);
        // Fetched, and not committed: as if the process died then.
        await first.fetch(5, AbortSignal.timeout(DEADLINE_MS));
        await first.close();
        await first.close();
        const second = place.source();
        await second.open(cold.resume);
        const after = await read(second, cold, 40 - before.numbers.length, 100);
        expect(sorted([...before.numbers, ...after.numbers])).toEqual(numbersOf(numbered(0, 40)));
        await second.close();
      }),
    );

    test.runIf(capabilities.endless && capabilities.redelivers)(
      "takes a partition up anew that it lost, from where the cold store is",
      () =>
        withPlace(async (place) => {
          const cold = coldStore(place);
          const source = await opened(place, cold, numbered(0, 30));
          if (source.lost === undefined) return source.close();
          const { numbers } = await read(source, cold, 10, 5);
          const dropped = (await source.fetch(5, AbortSignal.timeout(DEADLINE_MS)))!;
          source.lost(dropped.partition);
          const rest = await read(source, cold, 30 - numbers.length, 100);
          expect(sorted([...numbers, ...rest.numbers])).toEqual(numbersOf(numbered(0, 30)));
          return source.close();
        }),
    );

    test("may be told of what is handled again and late, and closed twice", () =>
      withPlace(async (place) => {
        const cold = coldStore(place);
        const source = await opened(place, cold, numbered(0, 5));
        const { offsets } = await read(source, cold, 5, 100);
        for (const [partition, of] of offsets) {
          await source.checkpoint(partition, of[0]!);
          await source.checkpoint(partition, of.at(-1)!);
        }
        await source.checkpoint("of another process", 7);
        await source.close();
        await source.close();
      }));
  });
}

interface ColdStore {
  readonly resume: ResumePosition;
  /** The numbers of the batch that were not committed before. */
  commit(batch: RawBatch): Promise<number[]>;
}

/** Positions as the cold store keeps them. */
function coldStore(place: MessageSourcePlace): ColdStore {
  const partitions = new Map<string, ResumePoint>();
  return {
    resume: async (partition) => partitions.get(partition) ?? { offset: -1, cursor: null },
    async commit(batch) {
      const known = partitions.get(batch.partition) ?? { offset: -1, cursor: null };
      const offset = batch.lastOffset ?? batch.messages.at(-1)!.offset;
      await place.committed?.(batch);
      if (offset > known.offset) partitions.set(batch.partition, { offset, cursor: batch.cursor ?? known.cursor });
      return batch.messages.filter((message) => message.offset > known.offset).map(numberOf);
    },
  };
}

interface Seen {
  readonly numbers: number[];
  readonly offsets: Map<string, number[]>;
  /** Messages of the largest batch. */
  readonly largest: number;
}

/** Reads and commits until `count` new messages came. */
async function read(source: MessageSource, cold: ColdStore, count: number, most: number): Promise<Seen> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const numbers: number[] = [];
  const offsets = new Map<string, number[]>();
  let largest = 0;
  while (numbers.length < count) {
    const batch = await source.fetch(most, signal);
    expect(batch, `after ${numbers.length} of ${count} messages`).not.toBeNull();
    const { partition, messages, lastOffset } = batch!;
    if (messages.length === 0 && lastOffset === undefined) continue;
    largest = Math.max(largest, messages.length);
    for (const message of messages) expect(message.partition).toBe(partition);
    offsets.set(partition, [...(offsets.get(partition) ?? []), ...messages.map((message) => message.offset)]);
    numbers.push(...(await cold.commit(batch!)));
    await source.checkpoint(partition, lastOffset ?? messages.at(-1)!.offset);
  }
  return { numbers, offsets, largest };
}

function numbered(from: number, count: number): ConformanceMessage[] {
  return Array.from({ length: count }, (_, i) => ({ n: from + i, at: Date.UTC(2026, 0, 1) + (from + i) * 1_000 }));
}

function numbersOf(messages: readonly ConformanceMessage[]): number[] {
  return messages.map(({ n }) => n);
}

function sorted(numbers: readonly number[]): number[] {
  return [...numbers].sort((a, b) => a - b);
}

function numberOf({ value, decoded }: RawMessage): number {
  if (Array.isArray(decoded)) return Number(decoded[0]);
  const text = typeof value === "string" ? value : value instanceof Uint8Array ? Buffer.from(value).toString() : null;
  const payload = text === null ? value : (JSON.parse(text) as object);
  return (payload as unknown as ConformanceMessage).n;
}
