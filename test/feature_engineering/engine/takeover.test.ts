import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isMillraceError } from "../../../src/definitions/errors.ts";
import type { FoldEngine } from "../../../src/feature_engineering/engine/fold-engine.ts";
import type { FoldEngineOptions } from "../../../src/feature_engineering/engine/fold-engine-options.ts";
import type { OfflineStore } from "../../../src/feature_store/offline/offline-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import type { OnlineStore } from "../../../src/feature_store/online/online-store.ts";
import type { MessageBatch, StreamMessage } from "../../../src/ingestion/stream-message.ts";
import { attempt, compareWithOracle, messagesOf, paymentsEngine, paymentsLog, sent } from "./payments-world.ts";

type Limits = Pick<FoldEngineOptions, "keptEvents" | "writeValues">;

/** One process: its engine, and how it reads each partition that it believes to own. */
interface Process {
  readonly engine: FoldEngine;
  readonly reading: Map<string, { epoch: number; next: number }>;
  /** How many of its next writes to the hot store wait. */
  stall(writes: number): void;
  resume(): void;
}

async function startProcess(offline: OfflineStore, online: OnlineStore, limits: Limits): Promise<Process> {
  let stalls = 0;
  let seconds = 0;
  const waiting: (() => void)[] = [];
  const sink: OnlineStore = {
    ...online,
    async compareAndSet(writes, session) {
      if (stalls > 0) {
        stalls--;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      return online.compareAndSet(writes, session);
    },
  };
  const engine = paymentsEngine(
    offline,
    sink,
    // Each look at the clock is a second later, so that every batch starts a flush, and positions are pruned.
    () => seconds++,
    { writeBatch: 2, ...limits },
  );
  await engine.recover();
  return {
    engine,
    reading: new Map(),
    stall: (writes) => {
      stalls = writes;
    },
    resume: () => {
      stalls = 0;
      for (const go of waiting.splice(0)) go();
    },
  };
}

/** Waits until work that can go on has gone on: a stalled write does not. */
async function afterAWhile(work: Promise<unknown>): Promise<void> {
  let turns = 0;
  const late = new Promise<void>((resolve) => {
    const turn = (): void => void (turns++ > 60 ? resolve() : setImmediate(turn));
    turn();
  });
  await Promise.race([work.catch(() => {}), late]);
}

const step = fc.record({
  process: fc.nat(1),
  partition: fc.nat(2),
  size: fc.integer({ min: 1, max: 5 }),
  /** What happens before the batch: the process takes the partition over, its writes stop, or go on. */
  what: fc.constantFrom("go on", "go on", "take over", "stall", "resume", "flush", "crash"),
  /** Messages that wait behind the batch. */
  behind: fc.constantFrom(0, 0, 5_000),
});

describe("two engines on one log and one hot store", () => {
  it("fold each event once, whoever takes over what and whoever stands still meanwhile", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(sent, { minLength: 5, maxLength: 60 }),
        fc.array(step, { minLength: 5, maxLength: 50 }),
        fc.record({ keptEvents: fc.constantFrom(0, 3, 32_000), writeValues: fc.constantFrom(1, 3, 400_000) }),
        async (events, steps, limits) => {
          const offline = await paymentsLog();
          const online = memoryOnlineStore();
          const messages = messagesOf(events);
          const topics = [0, 1, 2].map((p) => messages.filter((message) => message.partition === `p${p}`));
          const processes = [await startProcess(offline, online, limits), await startProcess(offline, online, limits)];
          const inserted: StreamMessage[] = [];
          const noted = new Map<string, number>();
          const note = async (): Promise<void> => {
            // What the log took, in its order: of two events with one id, the first one counts.
            for (const { partition, committed } of await offline.partitions("payments")) {
              const topic = topics[Number(partition.slice(1))]!;
              const from = (noted.get(partition) ?? -1) + 1;
              inserted.push(...topic.slice(from, committed + 1));
              noted.set(partition, committed);
            }
          };
          const deliver = async (process: Process, index: number, size: number, behind: number): Promise<void> => {
            const partition = `p${index}`;
            let reading = process.reading.get(partition);
            if (reading === undefined) {
              const { offset, epoch } = await process.engine.resumeAfter(partition);
              reading = { epoch: epoch!, next: offset + 1 };
              process.reading.set(partition, reading);
            }
            const own = topics[index]!.slice(reading.next, reading.next + size);
            if (own.length === 0) return;
            const lastOffset = own.at(-1)!.offset;
            const batch: MessageBatch = {
              source: "payments",
              partition,
              messages: own,
              deadLetters: [],
              lastOffset,
              epoch: reading.epoch,
              behind,
            };
            process.engine.prepare(batch);
            try {
              await process.engine.handle(batch);
              reading.next = lastOffset + 1;
            } catch (error) {
              if (!isMillraceError(error) || error.code !== "PARTITION_FENCED") throw error;
              process.reading.delete(partition);
            }
          };
          const busy: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()];
          for (const { process: which, partition, size, what, behind } of steps) {
            const process = processes[which]!;
            if (what === "stall") process.stall(2);
            if (what === "resume") process.resume();
            if (what === "crash") {
              // It stands still for ever, in the middle of whatever it did.
              process.stall(Number.POSITIVE_INFINITY);
              processes[which] = await startProcess(offline, online, limits);
              busy[which] = Promise.resolve();
            }
            const now = processes[which]!;
            if (what === "take over") now.reading.delete(`p${partition}`);
            const work = busy[which]!.then(() =>
              what === "flush" ? now.engine.flush() : deliver(now, partition, size, behind),
            );
            busy[which] = work;
            await afterAWhile(work);
            await note();
          }
          for (const [which, process] of processes.entries()) {
            process.resume();
            await busy[which];
          }
          for (let index = 0; index < 3; index++) {
            const process = processes[index % 2]!;
            process.reading.delete(`p${index}`);
            while ((noted.get(`p${index}`) ?? -1) < topics[index]!.length - 1) {
              await deliver(process, index, 3, 0);
              await note();
            }
          }
          for (const { engine } of processes) await attempt(() => engine.settled());
          expect(inserted).toHaveLength(messages.length);
          await compareWithOracle(inserted, online, Math.max(...messages.map((m) => m.eventTime)) + 1);
        },
      ),
      { numRuns: 300 },
    );
  });
});
