import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, expect, it } from "vitest";
import { ENGINE_RECOVERY_CHANNEL } from "../../../src/feature_engineering/engine/channels.ts";
import type { EventLog } from "../../../src/feature_engineering/engine/event-log.ts";
import type { FeatureSink } from "../../../src/feature_engineering/engine/feature-sink.ts";
import type { FoldEngine } from "../../../src/feature_engineering/engine/fold-engine.ts";
import type { FoldEngineOptions } from "../../../src/feature_engineering/engine/fold-engine-options.ts";
import { metaNames } from "../../../src/feature_engineering/engine/meta-names.ts";
import type { OfflineStore } from "../../../src/feature_store/offline/offline-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import type { OnlineStore } from "../../../src/feature_store/online/online-store.ts";
import type { StreamMessage } from "../../../src/ingestion/stream-message.ts";
import { losingServer } from "../../feature_store/online/losing-online-store.ts";
import { attempt, compareWithOracle, messagesOf, paymentsEngine, paymentsLog } from "./payments-world.ts";

/** Monotone seconds that a test moves. */
interface Seconds {
  now: number;
}

function engineOn(
  log: EventLog,
  sink: FeatureSink,
  seconds: Seconds = { now: 0 },
  more: Partial<FoldEngineOptions> = {},
): FoldEngine {
  return paymentsEngine(log, sink, () => seconds.now, more);
}

async function started(...given: Parameters<typeof engineOn>): Promise<FoldEngine> {
  const engine = engineOn(...given);
  await engine.recover();
  return engine;
}

/** Declined payments of one card in one shop, each with the partition and the hour that it is of. */
function paymentsAt(...given: readonly (readonly [partition: number, hour: number])[]): StreamMessage[] {
  return messagesOf(
    given.map(([partition, hour], n) => ({
      partition,
      ingestedAt: 0,
      row: [`${n}`, "a", 1, n + 1, true, hour * 3_600_000 + n * 1_000],
    })),
  );
}

const endOf = (messages: readonly StreamMessage[]): number => Math.max(...messages.map((m) => m.eventTime)) + 1;

async function handle(engine: FoldEngine, message: StreamMessage, behind = 0): Promise<void> {
  const { partition, offset: lastOffset } = message;
  await engine.handle({ source: "payments", partition, messages: [message], deadLetters: [], lastOffset, behind });
}

/** Deletes all values, or those of one view, as an erasure or their end does. */
async function deleteValues(online: OnlineStore, view = ""): Promise<void> {
  for (const keyspace of await online.keyspaces()) {
    if (!keyspace.startsWith(view)) continue;
    for await (const values of online.scan(keyspace)) {
      await online.compareAndSet(
        values.map(({ key, value }) => ({ keyspace, key, expectedRevision: value.revision, bytes: null })),
      );
    }
  }
}

/** A log that says how many erasures it has seen. */
interface ErasingLog {
  readonly log: EventLog;
  count: number;
}

function withErasures(offline: OfflineStore): ErasingLog {
  const log: EventLog = {
    ...offline,
    commit: async (batch) => ({ ...(await offline.commit(batch)), erasures: seen.count }),
  };
  const seen: ErasingLog = { log, count: 0 };
  return seen;
}

describe("the engine", () => {
  it.each([0, 1])("prunes no positions by marks of a session that was lost, kept for %i s", async (kept) => {
    const offline = await paymentsLog();
    const server = losingServer(1);
    const seconds = { now: 0 };
    const online = server.connect();
    let isMarked = true;
    const sink: FeatureSink = {
      ...online,
      mark: async (marks, session) => {
        if (!isMarked && marks.length > 0) throw new Error("the hot store went away");
        await online.mark(marks, session);
      },
    };
    const engine = await started(offline, sink, seconds, { keepPositionsSeconds: kept });
    const messages = paymentsAt([0, 0], [0, 0], [0, 0]);
    for (const message of messages) await handle(engine, message);
    // The positions are old enough to be pruned.
    for (let second = 0; second < 3; second++) {
      seconds.now += 2;
      await engine.flush();
    }
    server.lose(0, 10_000);
    isMarked = false;
    // Everything is folded and written again, and then there is nobody left to mark it.
    await engine.tend().catch(() => {});
    isMarked = true;
    await started(offline, server.connect());
    await compareWithOracle(messages, server.connect(), endOf(messages));
  });

  it("keeps nothing of an erased entity in memory, also where its value has the same revision again", async () => {
    const offline = await paymentsLog();
    const online = memoryOnlineStore();
    const erasures = withErasures(offline);
    const engine = await started(erasures.log, online);
    const [erased, another, last] = paymentsAt([0, 0], [1, 0], [0, 0]);
    await handle(engine, erased!);
    await engine.flush();
    await deleteValues(online);
    erasures.count++;
    const other = await started(offline, online);
    await handle(other, another!);
    await other.flush();
    await handle(engine, last!);
    await engine.settled();
    await compareWithOracle([another!, last!], online, endOf([last!]));
  });

  it("folds what it had not written again from the log when an entity was erased", async () => {
    const offline = await paymentsLog();
    const online = memoryOnlineStore();
    const erasures = withErasures(offline);
    const engine = await started(erasures.log, online);
    const messages = paymentsAt([0, 0], [0, 0]);
    await handle(engine, messages[0]!, 5_000);
    erasures.count++;
    await handle(engine, messages[1]!);
    await engine.settled();
    await compareWithOracle(messages, online, endOf(messages));
  });

  it("notices what is lost from its first look at the hot store on", async () => {
    const server = losingServer(1);
    const online = server.connect();
    let isLost = false;
    const sink: FeatureSink = {
      ...online,
      async writeMeta(facts) {
        await online.writeMeta(facts);
        if (facts.has(metaNames.instance) && !isLost) server.lose(0, 10_000);
        isLost = true;
      },
    };
    const engine = engineOn(await paymentsLog(), sink);
    await attempt(() => engine.recover());
    await attempt(() => engine.tend());
    expect(await server.connect().readMeta([metaNames.instance])).toEqual(["one"]);
  });

  it("looks anew at what is folded after it waited for more than a third of the time that positions are kept", async () => {
    const offline = await paymentsLog();
    const seconds = { now: 0 };
    let commitSeconds = 20;
    const log: EventLog = {
      ...offline,
      commit: async (batch) => {
        seconds.now += commitSeconds;
        return offline.commit(batch);
      },
    };
    const engine = await started(log, memoryOnlineStore(), seconds, { keepPositionsSeconds: 60 });
    let recoveries = 0;
    const count = (event: unknown): void => void ((event as { readonly done: boolean }).done && recoveries++);
    subscribe(ENGINE_RECOVERY_CHANNEL, count);
    try {
      const [first, second] = paymentsAt([0, 0], [0, 0]);
      await handle(engine, first!);
      expect(recoveries).toBe(0);
      commitSeconds = 21;
      await handle(engine, second!);
      expect(recoveries).toBe(1);
    } finally {
      unsubscribe(ENGINE_RECOVERY_CHANNEL, count);
    }
  });

  it("looks anew at what another process folded while it read the log for so long", async () => {
    const offline = await paymentsLog();
    const online = memoryOnlineStore();
    const messages = paymentsAt([0, 0], [0, 0]);
    const log: EventLog = offline;
    const { partitionId } = await offline.own("payments", "p0");
    const seconds = { now: 0 };
    // Committed, and folded by nobody yet.
    const dead = await started(log, { ...online, compareAndSet: () => new Promise(() => {}) });
    for (const message of messages) await Promise.race([handle(dead, message), new Promise(setImmediate)]);
    expect((await offline.partitions("payments"))[0]?.committed).toBeGreaterThanOrEqual(0);
    let reads = 0;
    const slow: EventLog = {
      ...offline,
      async *read(source, partition, after, upTo) {
        for await (const events of offline.read(source, partition, after, upTo)) {
          if (partition === partitionId) {
            await started(offline, online);
            seconds.now += 21;
            reads = 0;
          }
          yield events;
        }
      },
    };
    const sink: FeatureSink = {
      ...online,
      read(keys) {
        reads++;
        return online.read(keys);
      },
    };
    await started(slow, sink, seconds, { keepPositionsSeconds: 60 });
    expect(reads).toBe(0);
  });

  it("folds no event that another process folded, marked and pruned while it loaded the value", async () => {
    const offline = await paymentsLog();
    const online = memoryOnlineStore();
    const [late, other] = paymentsAt([0, 0], [1, 0]);
    let between: (() => Promise<void>) | null = null;
    const once = async (): Promise<void> => {
      const run = between;
      between = null;
      await run?.();
    };
    const sink: FeatureSink = {
      ...online,
      async read(keys) {
        const found = await online.read(keys);
        await once();
        return found;
      },
      async marks(keyspace) {
        const found = await online.marks(keyspace);
        await once();
        return found;
      },
    };
    const engine = await started(offline, sink);
    between = async () => {
      const successor = await started(offline, online);
      await successor.flush();
      await handle(successor, other!);
      await successor.flush();
    };
    await handle(engine, late!);
    await engine.settled();
    expect(between).toBeNull();
    await compareWithOracle([late!, other!], online, endOf([late!, other!]));
  });

  it("loads a value anew whose end has come, which another process may have begun again", async () => {
    const offline = await paymentsLog();
    const online = memoryOnlineStore();
    const messages = paymentsAt([0, 0], [1, 5], [0, 5]);
    const engine = await started(offline, online);
    await handle(engine, messages[0]!);
    await engine.flush();
    await deleteValues(online, "shop_activity");
    const other = await started(offline, online);
    await handle(other, messages[1]!);
    await other.flush();
    await handle(engine, messages[2]!);
    await engine.settled();
    await compareWithOracle(messages, online, endOf(messages));
  });
});
