import { afterEach, describe, expect, it } from "vitest";
import { Meta } from "../src/definitions/meta.ts";
import { createFoldEngine, type FoldEngine } from "../src/feature_engineering/engine/fold-engine.ts";
import { memoryOfflineStore } from "../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../src/feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../src/feature_store/online/online-store.ts";
import { type RedisOnlineStoreOptions, redisOnlineStore } from "../src/feature_store/online/redis-online-store.ts";
import { createViewRuntime } from "../src/feature_store/view-runtime.ts";
import type { StreamMessage } from "../src/ingestion/stream-message.ts";
import { compareWithOracle, messagesOf, payments, views } from "../test/feature_engineering/engine/payments-world.ts";
import { redisRelease } from "./services/redis-release.ts";
import { type RedisServer, type RedisServerOptions, startRedis, startRedisCluster } from "./services/redis-server.ts";

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function redis(options?: RedisServerOptions): Promise<RedisServer> {
  const server = await startRedis(options);
  cleanups.push(() => server.remove());
  return server;
}

async function open(server: RedisServer, options: RedisOnlineStoreOptions = {}): Promise<OnlineStore> {
  const store = await redisOnlineStore({ url: `redis://127.0.0.1:${server.port}`, ...options });
  cleanups.push(() => store.close());
  return store;
}

interface World {
  readonly offline: OfflineStore;
  engine(online: OnlineStore): Promise<FoldEngine>;
  /** Hands the next messages on, again and again until they are taken. */
  feed(engine: FoldEngine, count: number, partition?: number): Promise<void>;
  /** Repairs what there is to repair, until nothing is; then every value must be the oracle's. */
  settle(online: OnlineStore, ...engines: FoldEngine[]): Promise<void>;
}

async function world(): Promise<World> {
  const offline = memoryOfflineStore();
  await offline.prepareSource({ source: "payments", columns: payments[Meta].columns, hasId: true });
  const all = messagesOf(
    Array.from({ length: 60_000 }, (_, i) => ({
      partition: i % 3,
      ingestedAt: 0,
      row: [`${i}`, `card ${(i * 7) % 53}`, i % 2, (i % 100) / 4, i % 5 === 0, i * 100],
    })),
  );
  const next = [0, 0, 0];
  const fed: StreamMessage[] = [];
  return {
    offline,
    async engine(online) {
      const engine = createFoldEngine({
        source: payments[Meta],
        views: views.map((view) => createViewRuntime(view)),
        log: offline,
        sink: online,
        newInstance: () => crypto.randomUUID(),
        now: Date.now,
        seconds: () => performance.now() / 1_000,
      });
      await until(() => engine.recover());
      return engine;
    },
    async feed(engine, count, partition = 0) {
      const own = all.filter((message) => message.partition === `p${partition}`);
      const messages = own.slice(next[partition]!, next[partition]! + count);
      next[partition]! += count;
      fed.push(...messages);
      const batch = { source: "payments", partition: `p${partition}`, messages, deadLetters: [] };
      await until(() => engine.handle({ ...batch, lastOffset: messages.at(-1)!.offset }));
    },
    async settle(online, ...engines) {
      for (let round = 0; round < 2; round++) for (const engine of engines) await until(() => engine.tend());
      for (const engine of engines) await until(() => engine.flush());
      await compareWithOracle(fed, online, fed.reduce((last, { eventTime }) => Math.max(last, eventTime), 0) + 1);
    },
  };
}

/** Tries until it works, as ingestion does; half a minute at most. */
async function until<Result>(action: () => Promise<Result>): Promise<Result> {
  const end = performance.now() + 30_000;
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

const anyKey = {
  keyspace: createViewRuntime(views[0]!).keyspace,
  key: new Uint8Array([1, 6, 99, 97, 114, 100, 32, 48]),
};
const withCode = (code: string): unknown => expect.objectContaining({ code, name: "MillraceError" });

describe("a server that dies", () => {
  it("is killed and started again during reads and writes, and the oracle agrees", async () => {
    const server = await redis({ config: ["appendonly yes", "appendfsync no"] });
    const { engine: start, feed, settle } = await world();
    const online = await open(server, { timeoutMs: 2_000 });
    const engine = await start(online);
    let reading = true;
    let answered = 0;
    const codes = new Set<unknown>();
    const readers = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (reading) {
          await online.fetch([anyKey], ["instance"], { deadlineMs: 250 }).then(
            () => answered++,
            (error: { code: unknown }) => codes.add(error.code),
          );
        }
      }),
    );
    for (let round = 0; round < 12; round++) {
      const feeding = feed(engine, 200, round % 3);
      if (round % 3 === 1) {
        await server.kill(round % 2 === 0 ? "SIGTERM" : "SIGKILL");
        await server.start();
      }
      await feeding;
    }
    await settle(online, engine);
    reading = false;
    await readers;
    expect(answered).toBeGreaterThan(100);
    // Nothing but these two may reach a caller.
    for (const code of codes) expect(["ONLINE_STORE_TIMEOUT", "ONLINE_STORE_UNAVAILABLE"]).toContain(code);
  });

  it("comes back with an older snapshot, and what it lacks is folded again", async () => {
    const server = await redis();
    const { engine: start, feed, settle } = await world();
    const online = await open(server);
    const engine = await start(online);
    for (let round = 0; round < 3; round++) await feed(engine, 300, round);
    await engine.flush();
    server.cli("save");
    // Positions up to these are marked and pruned from values in what will be lost.
    for (let round = 0; round < 6; round++) {
      await feed(engine, 100, round % 3);
      await engine.flush();
    }
    await server.kill();
    await server.start();
    for (let round = 0; round < 3; round++) await feed(engine, 50, round);
    await settle(online, engine);
  });

  it("comes back with an older snapshot while no engine runs, and the next one repairs it", async () => {
    const server = await redis();
    const { engine: start, feed, settle } = await world();
    const first = await open(server);
    const engine = await start(first);
    await feed(engine, 400);
    await engine.flush();
    server.cli("save");
    await feed(engine, 400);
    await engine.flush();
    await first.close();
    await server.kill();
    await server.start();
    const online = await open(server);
    await settle(online, await start(online));
  });

  it("falls back to an older file without a request failing or a connection lost, which the next write notices", async () => {
    const server = await redis();
    const { engine: start, feed, settle } = await world();
    const online = await open(server);
    const engine = await start(online);
    await feed(engine, 300);
    await engine.flush();
    server.cli("save");
    for (let round = 0; round < 3; round++) {
      await feed(engine, 100, round);
      await engine.flush();
    }
    expect(server.cli("debug", "reload", "nosave")).toBe("OK");
    await feed(engine, 100, 1);
    await settle(online, engine);
  });

  it("loses everything while the stream is idle, and is filled again by tending alone", async () => {
    const server = await redis();
    const { engine: start, feed, settle } = await world();
    const online = await open(server);
    const engine = await start(online);
    await feed(engine, 600);
    await engine.flush();
    server.cli("flushall");
    await settle(online, engine);
  });
});

describe("a full server", () => {
  it("refuses writes with ONLINE_STORE_FULL, goes on answering reads, and loses nothing", async () => {
    const server = await redis();
    const { engine: start, feed, settle } = await world();
    const online = await open(server);
    const engine = await start(online);
    await feed(engine, 300);
    await engine.flush();
    const before = await online.read([anyKey]);
    server.cli("config", "set", "maxmemory", "1");
    const feeding = feed(engine, 300);
    await expect(
      until(() =>
        engine.settled().then(
          () => Promise.reject(new TypeError()),
          (error) => error,
        ),
      ),
    ).resolves.toEqual(withCode("ONLINE_STORE_FULL"));
    expect(await online.read([anyKey])).toEqual(before);
    expect((await online.fetch([anyKey], [])).values).toEqual(before);
    server.cli("config", "set", "maxmemory", "0");
    await feeding;
    await settle(online, engine);
  });
});

describe("a slow server", () => {
  it("fails a read at its deadline, or gives what it has, and recovers", async () => {
    const server = await redis();
    const online = await open(server, { maxWaitingReads: 50 });
    await online.compareAndSet([{ ...anyKey, expectedRevision: 0, bytes: new Uint8Array([7]) }]);
    const found = (await online.fetch([anyKey], [])).values;
    server.cli("client", "pause", "1500", "all");
    const started = performance.now();
    const read = online.fetch([anyKey], [], { deadlineMs: 100 });
    const partial = online.fetch([anyKey, anyKey], ["instance"], { deadlineMs: 100, partial: true });
    await expect(read).rejects.toEqual(withCode("ONLINE_STORE_TIMEOUT"));
    expect(await partial).toEqual({ values: [undefined, undefined], facts: [undefined] });
    expect(performance.now() - started).toBeLessThan(1_000);
    const crowd = Array.from({ length: 60 }, () =>
      online.fetch([anyKey], [], { deadlineMs: 5_000 }).then(
        ({ values }) => values,
        (error: { code: string }) => error.code,
      ),
    );
    const results = await Promise.all(crowd);
    expect(results.filter((result) => result === "ONLINE_STORE_UNAVAILABLE")).toHaveLength(10);
    expect(results.filter((result) => typeof result !== "string")).toEqual(new Array(50).fill(found));
  });

  it("answers reads that came while it was away as soon as it is back", async () => {
    const server = await redis({ config: ["appendonly yes"] });
    const online = await open(server);
    await online.compareAndSet([{ ...anyKey, expectedRevision: 0, bytes: new Uint8Array([7]) }]);
    const found = (await online.fetch([anyKey], [])).values;
    await server.kill("SIGTERM");
    const reads = Array.from({ length: 20 }, () => online.fetch([anyKey], [], { deadlineMs: 20_000 }));
    await server.start();
    for (const read of reads) expect((await read).values).toEqual(found);
  });
});

describe("two writers", () => {
  it("fold partitions of one source into the same entities, each restarted meanwhile, and count nothing twice", async () => {
    const server = await redis();
    const { engine: start, feed, settle } = await world();
    const stores = [await open(server), await open(server)];
    const engines = [await start(stores[0]!), await start(stores[1]!)];
    for (let round = 0; round < 10; round++) {
      await Promise.all([feed(engines[0]!, 150, 0), feed(engines[1]!, 150, 1)]);
      if (round === 3 || round === 6) {
        const again = round === 3 ? 0 : 1;
        await stores[again]!.close();
        stores[again] = await open(server);
        const other = feed(engines[1 - again]!, 150, 1 - again);
        engines[again] = await start(stores[again]!);
        await other;
      }
    }
    await settle(stores[0]!, ...engines);
  });
});

describe("a cluster", () => {
  it("loses a primary whose replica lags, and the oracle agrees", async () => {
    const cluster = await startRedisCluster({ replicas: 1 });
    cleanups.push(() => cluster.remove());
    const { engine: start, feed, settle } = await world();
    const online = await redisOnlineStore({
      cluster: cluster.nodes.map((node) => `${node.host}:${node.port}`),
      timeoutMs: 5_000,
    });
    cleanups.push(() => online.close());
    const engine = await start(online);
    for (let round = 0; round < 3; round++) await feed(engine, 200, round);
    await engine.flush();
    for (const slot of [0, 9_000]) {
      const primary = cluster.primaryOf(slot);
      const replica = cluster.nodes.find((node) =>
        node.cli("info", "replication").includes(`master_port:${primary.port}`),
      )!;
      replica.freeze();
      for (let round = 0; round < 3; round++) await feed(engine, 200, round);
      await primary.kill();
      replica.thaw();
      const feeding = feed(engine, 200, 1);
      await expect
        .poll(() => replica.cli("info", "replication").includes("role:master"), { timeout: 60_000 })
        .toBe(true);
      await feeding;
      await settle(online, engine);
    }
  });
});

describe("durability", () => {
  it("moves no position before so many replicas have the writes, and goes on folding meanwhile", async () => {
    const server = await redis();
    const replica = await redis({ replicaOf: server });
    await expect.poll(() => replica.cli("info", "replication"), { timeout: 60_000 }).toContain("master_link_status:up");
    const { engine: start, feed, settle, offline } = await world();
    const online = await open(server, { durability: { replicas: 1 }, timeoutMs: 500 });
    const engine = await start(online);
    await feed(engine, 100);
    await engine.flush();
    const [instance] = await online.readMeta(["instance"]);
    const applied = async (): Promise<number> =>
      Math.max(...(await offline.applied(`${anyKey.keyspace}#${instance}`)).map(({ offset }) => offset));
    expect(await applied()).toBe(99);
    replica.freeze();
    await feed(engine, 100);
    await engine.settled();
    await expect(engine.flush()).rejects.toEqual(withCode("ONLINE_STORE_NOT_DURABLE"));
    expect(await applied()).toBe(99);
    replica.thaw();
    await until(() => engine.flush());
    expect(await applied()).toBe(199);
    await settle(online, engine);
  });

  it("asks for appendfsync always where there is no WAITAOF", async () => {
    const server = await redis({ config: ["appendonly yes", "appendfsync everysec"] });
    await expect(open(server, { durability: "aof" })).rejects.toMatchObject({
      code: "ONLINE_STORE_UNAVAILABLE",
      message: expect.stringContaining("appendfsync always"),
    });
    server.cli("config", "set", "appendfsync", "always");
    const online = await open(server, { durability: "aof" });
    await online.durable();
    const volatile = await redis();
    await expect(open(volatile, { durability: "aof" })).rejects.toEqual(withCode("ONLINE_STORE_UNAVAILABLE"));
  });
});

describe("what cannot be used is told, and what to do", () => {
  const refused = async (options: RedisOnlineStoreOptions, ...says: string[]): Promise<void> => {
    const error: unknown = await redisOnlineStore({ connectTimeoutMs: 3_000, ...options }).then(
      () => null,
      (failure: unknown) => failure,
    );
    expect(error).toEqual(withCode("ONLINE_STORE_UNAVAILABLE"));
    const text = `${String(error)} ${JSON.stringify(error)} ${String((error as Error).cause)}`;
    for (const said of says) expect(text).toContain(said);
    expect(text).not.toContain("s3cret");
  };

  it("a wrong password, never printed", async () => {
    const { port } = await redis({ password: "right one" });
    await refused({ url: `redis://127.0.0.1:${port}`, password: "s3cret" }, "password");
    await refused({ url: `redis://nobody:s3cret@127.0.0.1:${port}` }, "password");
    await refused({ url: `redis://127.0.0.1:${port}` }, "password");
    await refused({ url: "not://a:s3cret@url" }, "url");
    await refused({ url: "s3cret" }, "url");
    await refused({}, "cluster");
  });

  it("nobody there, plain instead of TLS, a certificate that nobody knows", async () => {
    const secure = await redis({ tls: true });
    await refused({ url: `rediss://127.0.0.1:${secure.port}` }, "certificate");
    await secure.kill();
    await refused({ url: `redis://127.0.0.1:${secure.port}`, connectTimeoutMs: 300 }, "cannot be reached");
  });

  it("a single server as a cluster, a node of a cluster as a server, a replica, a server that evicts", async () => {
    const server = await redis();
    await refused({ cluster: [`127.0.0.1:${server.port}`] }, "it is no cluster");
    const node = await redis({ clusterNode: true });
    await refused({ url: `redis://127.0.0.1:${node.port}` }, "node of a cluster");
    const replica = await redis({ replicaOf: server });
    await refused({ url: `redis://127.0.0.1:${replica.port}` }, "replica");
    const evicting = await redis({ config: ["maxmemory 100mb", "maxmemory-policy allkeys-lru"] });
    await refused({ url: `redis://127.0.0.1:${evicting.port}` }, "noeviction");
    await refused({ url: `redis://127.0.0.1:${server.port}`, keyPrefix: "{a}" }, "braces");
  });

  it.each([
    ["the newest Redis", () => ({})],
    ["Redis 6.2", () => ({ program: redisRelease("Redis 6.2") })],
  ])(
    "writes to a server that became a replica, and leaves it, since its address may lead to the new primary: %s",
    async (_, options) => {
      const server = await redis(options());
      const online = await open(server, { timeoutMs: 1_000 });
      const connections = (): string[] =>
        server
          .cli("client", "list")
          .split("\n")
          .filter((line) => !line.includes("cmd=client"))
          .map((line) => line.split(" ")[0]!);
      const write = { ...anyKey, expectedRevision: 0, bytes: new Uint8Array([7]) };
      const session = await online.openSession();
      const before = connections();
      server.cli("replicaof", "127.0.0.1", "1");
      const refusal = await online.compareAndSet([write], session).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: "ONLINE_STORE_UNAVAILABLE", message: expect.stringContaining("primary") });
      await until(async () => expect(connections()).not.toEqual(expect.arrayContaining(before)));
      server.cli("replicaof", "no", "one");
      expect(await until(() => online.compareAndSet([write]))).toEqual([true]);
    },
  );

  it("something else under its keys", async () => {
    const server = await redis();
    const online = await open(server);
    const write = {
      keyspace: "v",
      key: new TextEncoder().encode("k"),
      expectedRevision: 0,
      bytes: new Uint8Array([7]),
    };
    for (const garbage of ["x", "a much longer text that is no value"]) {
      server.cli("set", "millrace:v:v:k", garbage);
      await expect(online.read([write])).rejects.toEqual(withCode("ONLINE_STORE_CORRUPT"));
      await expect(online.fetch([write], [])).rejects.toEqual(withCode("ONLINE_STORE_CORRUPT"));
      expect(await online.compareAndSet([write])).toEqual([false]);
    }
    server.cli("del", "millrace:v:v:k");
    server.cli("lpush", "millrace:v:v:k", "x");
    await expect(online.compareAndSet([write])).rejects.toEqual(withCode("ONLINE_STORE_CORRUPT"));
  });
});
