import { beforeEach, describe, expect, it } from "vitest";
import { Meta } from "../../src/definitions/meta.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import { createViewRuntime } from "../../src/feature_store/view-runtime.ts";
import { follower } from "../../src/pipeline/follow-log.ts";
import { payments, views } from "../feature_engineering/engine/payments-world.ts";

const runtimes = views.map((view) => createViewRuntime(view));

describe("who follows the log", () => {
  let offline: OfflineStore;
  let seconds: number;
  let readers: Map<string, string>;
  let ours: number;
  let recoveries: number;
  let follow: () => Promise<void>;
  let commit: (lastOffset: number, name?: string) => Promise<void>;
  const online = memoryOnlineStore();

  beforeEach(async () => {
    offline = memoryOfflineStore();
    await offline.prepareSource({ source: "payments", columns: payments[Meta].columns, hasId: true });
    const owned = new Map([
      ["p0", await offline.own("payments", "p0")],
      ["p1", await offline.own("payments", "p1")],
    ]);
    commit = async (lastOffset, name = "p0") =>
      void (await offline.commit({ partition: owned.get(name)!, events: [], deadLetters: [], lastOffset }));
    [seconds, readers, recoveries, ours] = [0, new Map(), 0, -1];
    follow = follower({
      source: "payments",
      views: runtimes,
      engine: {
        committed: () => ours,
        recover: async () => {
          recoveries++;
        },
      },
      online,
      offline,
      foldedByReader: async () => readers,
      seconds: () => seconds,
    });
  });

  /** Looks every two seconds, with or without a commit before each. */
  async function watch(looks: number, isCommitted: boolean): Promise<void> {
    for (let look = 0; look < looks; look++) {
      if (isCommitted) await commit(seconds + 1);
      await follow();
      seconds += 2;
    }
  }

  it("leaves a backlog to its reader, who goes on committing and writes what it folds seldom", async () => {
    readers.set("p0", "host:1");
    await watch(20, true);
    expect(recoveries).toBe(0);
  });

  it("folds from the log once the reader, who may be dead, commits nothing for five seconds", async () => {
    readers.set("p0", "host:1");
    await watch(3, true);
    await watch(2, false);
    expect(recoveries).toBe(0);
    await watch(1, false);
    expect(recoveries).toBe(1);
  });

  it("leaves a backlog of many partitions to a reader who comes to each of them seldom", async () => {
    readers.set("p0", "host:1").set("p1", "host:1");
    for (let look = 0; look < 40; look++) {
      await commit(seconds + 1, look % 16 < 8 ? "p0" : "p1");
      await follow();
      seconds += 2;
    }
    expect(recoveries).toBe(0);
  });

  it("folds from the log what a reader left who died, while another goes on committing", async () => {
    readers.set("p0", "host:1").set("p1", "host:2");
    await commit(1);
    for (let look = 0; look < 4; look++) {
      await commit(seconds + 1, "p1");
      await follow();
      seconds += 2;
    }
    expect(recoveries).toBe(1);
  });

  it("leaves to the engine what that committed itself, however long its writes take", async () => {
    readers.set("p0", "host:1");
    await commit(7);
    ours = 7;
    await watch(20, false);
    expect(recoveries).toBe(0);
    ours = 6;
    await watch(1, false);
    expect(recoveries).toBe(1);
  });

  it("folds from the log what is committed by a process that does not fold into the same views", async () => {
    await watch(3, true);
    expect(recoveries).toBe(0);
    await watch(1, true);
    expect(recoveries).toBe(1);
  });
});
