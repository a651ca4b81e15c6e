import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  all,
  commit,
  logged,
  orders,
  payment,
  payments,
  query,
} from "../conformance/offline/offline-store-fixtures.ts";
import type { LogCommitResult, LoggedEvent, OwnedPartition } from "../src/feature_engineering/engine/event-log.ts";
import type { OfflineStore } from "../src/feature_store/offline/offline-store.ts";
import {
  type PostgresOfflineStoreOptions,
  postgresOfflineStore,
} from "../src/feature_store/offline/postgres-offline-store.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";

let server: PostgresServer;
let schema = 0;
const opened: OfflineStore[] = [];

beforeAll(async () => {
  server = await startPostgres({ tls: true, settings: { max_connections: "60" } });
});

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

afterAll(async () => {
  await server.remove();
});

async function open(options: Partial<PostgresOfflineStoreOptions> = {}): Promise<OfflineStore> {
  const store = await postgresOfflineStore({ url: server.url(), schema: `s_${schema}`, ...options });
  opened.push(store);
  return store;
}

async function openNew(options: Partial<PostgresOfflineStoreOptions> = {}): Promise<OfflineStore> {
  schema++;
  const store = await open(options);
  await store.prepareSource(payments);
  await store.prepareSource(orders);
  return store;
}

const refused = (code: string, message: RegExp): object =>
  expect.objectContaining({ code, kind: "operational", message: expect.stringMatching(message) });

test("a password beside the URL is the one that counts, whatever is in it", async () => {
  const password = "a%41 +&#@/:?é'";
  server.sql(`create role apart login password '${password.replaceAll("'", "''")}'`);
  server.sql("grant create on database postgres to apart");
  for (const own of ["", ":wrong"]) {
    const url = `postgres://apart${own}@127.0.0.1:${server.port}/postgres?sslmode=disable`;
    await openNew({ url, password });
  }
});

describe("a server that cannot be used is told with the reason, never with the password", () => {
  test.each([
    ["a wrong password", () => server.url().replace(/:[^:@/]*@/, ":hush-hush@"), /password is wrong/],
    ["a database that is not there", () => server.url("nowhere"), /database does not exist/],
    ["no server", () => "postgres://someone:hush-hush@127.0.0.1:9/db", /cannot be reached/],
  ])("%s", async (_, url, reason) => {
    const error = await postgresOfflineStore({ url: url(), retryMs: 100 }).catch((cause: unknown) => cause as Error);
    expect(error).toEqual(refused("OFFLINE_STORE_UNAVAILABLE", reason));
    const everything = [error, (error as Error).cause].map(
      (one) => JSON.stringify(one, Object.getOwnPropertyNames(one ?? {})) + String(one) + (one as Error).stack,
    );
    expect(everything.join()).not.toContain("hush-hush");
    expect(everything.join()).not.toContain(encodeURIComponent(server.password));
  });

  test.each([
    ["a text that is no URL", { url: "hush-hush" }],
    ["another protocol", { url: "mysql://a:hush-hush@b/c" }],
    ["a schema's name that SQL would take apart", { url: "postgres://a:hush-hush@b/c", schema: 'x"; DROP' }],
    ["a single connection", { url: "postgres://a:hush-hush@b/c", maxConnections: 1 }],
  ])("%s is refused", async (_, options) => {
    const error = await postgresOfflineStore(options).catch((cause: unknown) => cause as Error);
    expect(error).toMatchObject({ code: "OFFLINE_STORE_UNAVAILABLE" });
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain("hush-hush");
  });

  test("a layout that a newer version made", async () => {
    await openNew();
    server.sql(`INSERT INTO s_${schema}.schema_version VALUES (99, now())`);
    await expect(open()).rejects.toEqual(refused("OFFLINE_STORE_UNAVAILABLE", /layout 99.*newer Millrace/));
  });

  test("a database that cannot hold all text", async () => {
    server.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
    await expect(postgresOfflineStore({ url: server.url("latin") })).rejects.toEqual(
      refused("OFFLINE_STORE_UNAVAILABLE", /encoding LATIN1/),
    );
  });
});

test("connections are encrypted where TLS is asked for, and refuse a certificate that nobody vouches for", async () => {
  await expect(open({ tls: true, retryMs: 100 })).rejects.toMatchObject({ code: "OFFLINE_STORE_UNAVAILABLE" });
  const store = await openNew({ tls: { rejectUnauthorized: false }, applicationName: "encrypted" });
  await store.partitions("payments");
  const encrypted = server.sql(
    "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'encrypted'",
  );
  expect(encrypted).toBe("t");
});

describe("several processes", () => {
  test("may open and prepare at once", async () => {
    schema++;
    const stores = await Promise.all(Array.from({ length: 6 }, () => open({ maxConnections: 3 })));
    await Promise.all(stores.map((store) => store.prepareSource({ ...orders, keys: [["user_id"]] })));
    const owned = await Promise.all(stores.map((store, index) => store.own("orders", String(index))));
    expect(new Set(owned.map((partition) => partition.partitionId)).size).toBe(6);
    // All of them find that January's table is missing.
    await Promise.all(
      stores.map((store, n) => commit(store, owned[n]!, [logged(orders, owned[n]!, 0, { id: `${n}` }, ["ann", n])], 0)),
    );
    expect((await all(stores[0]!.history(query("orders")))).length).toBe(6);
    expect(server.sql(`SELECT count(*) FROM s_${schema}.schema_version`)).toBe("2");
  });

  test("keep an event once that comes to several of them, with one payload each", async () => {
    await openNew();
    const writers = await Promise.all(Array.from({ length: 4 }, () => open({ maxConnections: 3 })));
    const owned = await Promise.all(writers.map((store, n) => store.own("orders", `p${n}`)));
    const count = 3_000;
    const results = await Promise.all(
      writers.map(async (store, n) => {
        const found: LogCommitResult[] = [];
        for (let start = 0; start < count; start += 500) {
          // Each in an order of its own; every hundredth has another payload at the last writer.
          const events = Array.from({ length: 500 }, (_, index) => {
            const number = start + ((index * 7 + n * 131) % 500);
            const amount = n === 3 && number % 100 === 0 ? -1 : number;
            return logged(orders, owned[n]!, start + index, { id: `o${number}`, eventTime: 5e11 + number }, [
              "ann",
              amount,
            ]);
          });
          found.push(await commit(store, owned[n]!, events, start + 499));
        }
        return found;
      }),
    );
    const stored = await all(writers[0]!.history(query("orders")));
    expect(stored.length).toBe(count);
    expect(new Set(stored.map((event) => event.id)).size).toBe(count);
    const sum = (of: (result: LogCommitResult) => number): number =>
      results.flat().reduce((total, result) => total + of(result), 0);
    expect(sum((result) => result.inserted.length)).toBe(count);
    expect(sum((result) => result.duplicates + result.conflicts)).toBe(3 * count);
    const conflicts = sum((result) => result.conflicts);
    expect(conflicts).toBeGreaterThanOrEqual(30);
    expect((await writers[0]!.deadLetters({ limit: 1_000 })).length).toBe(conflicts);
    const told = results
      .flat()
      .flatMap((result) => result.inserted.map((event) => `${event.partitionId}:${event.offset}`));
    expect(told.sort()).toEqual(stored.map((event) => `${event.partitionId}:${event.offset}`).sort());
  });

  test("see an erasure of another at once", async () => {
    const first = await openNew();
    const second = await open();
    const owned = await second.own("payments", "0");
    await commit(second, owned, [payment(owned, 0)], 0);
    const role = { source: "payments", keyColumns: ["user_id"], nulledColumns: ["user_id"] };
    const keyTypes = [{ kind: "string", nullable: false }] as const;
    await first.erase({ entity: "user", key: ["ann"], keyTypes, roles: [role], at: 1_800_000_000_000 });
    const result = await commit(second, owned, [payment(owned, 1)], 1);
    expect(result.erasures).toBe(1);
    expect(result.inserted[0]!.row[0]).toBeNull();
  });

  test("fence each other: who owns a partition last writes it", async () => {
    const first = await openNew();
    const second = await open();
    const before = await first.own("payments", "0");
    await commit(first, before, [payment(before, 0)], 0);
    const after = await second.own("payments", "0");
    const raced = await Promise.allSettled([
      commit(first, before, [payment(before, 1, { user: "bob" })], 1),
      commit(second, after, [payment(after, 1)], 1),
    ]);
    expect(raced.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
    expect((raced[0] as PromiseRejectedResult).reason.code).toBe("PARTITION_FENCED");
    expect((await all(second.history(query("payments")))).map((event) => event.row[0])).toEqual(["ann", "ann"]);
  });
});

describe("what the server is asked for", () => {
  test("waits for a connection for a bounded time, readers and writers apart", async () => {
    const store = await openNew({ maxConnections: 2, acquireTimeoutMs: 150 });
    const owned = await store.own("payments", "0");
    const events = Array.from({ length: 20_000 }, (_, offset) => payment(owned, offset));
    await commit(store, owned, events, 19_999);
    const reading = store.history(query("payments"))[Symbol.asyncIterator]();
    await reading.next();
    await expect(all(store.history(query("payments")))).rejects.toEqual(
      refused("OFFLINE_STORE_BUSY", /no connection for reading in 150 ms, all 1 are in use/),
    );
    await commit(store, owned, [payment(owned, 20_000)], 20_000);
    await reading.return!();
    expect((await all(store.history(query("payments")))).length).toBe(20_001);
  });

  test("may take a bounded time; the commit that took longer can be repeated", async () => {
    const store = await openNew({ statementTimeoutMs: 300 });
    const owned = await store.own("payments", "0");
    const other = await import("pg").then(({ default: pg }) => new pg.Client(server.url()));
    await other.connect();
    await other.query(`BEGIN; SELECT * FROM s_${schema}.partitions FOR UPDATE`);
    await expect(commit(store, owned, [payment(owned, 0)], 0)).rejects.toEqual(
      refused("OFFLINE_STORE_BUSY", /took longer than statementTimeoutMs/),
    );
    await other.end();
    expect((await commit(store, owned, [payment(owned, 0)], 0)).inserted.length).toBe(1);
  });
});

describe("tables", () => {
  test("hold a month each, and two the times out of bounds", async () => {
    const store = await openNew();
    const owned = await store.own("orders", "0");
    const times = [
      "0044-03-15",
      "1999-12-31T23:59:59.999Z",
      "2000-01-01",
      "2024-02-29T23:59:59.999Z",
      "2024-03-01",
      "2150-01-01",
    ];
    const events = times.map((time, offset) =>
      logged(orders, owned, offset, { id: "x", eventTime: Date.parse(time) }, ["ann", offset]),
    );
    await commit(store, owned, events, 5);
    const rows = server.sql(
      `SELECT string_agg(tableoid::regclass || ' ' || amount, ', ' ORDER BY _event_time) FROM s_${schema}.events_orders`,
    );
    expect(rows.replaceAll(`s_${schema}.`, "").replaceAll('"', "")).toBe(
      "events_orders$before_2000 0, events_orders$before_2000 1, events_orders$2000_01 2, events_orders$2024_02 3, events_orders$2024_03 4, events_orders$from_2100 5",
    );
    expect(server.sql(`SELECT _event_time AT TIME ZONE 'UTC' FROM s_${schema}.events_orders WHERE amount = 3`)).toBe(
      "2024-02-29 23:59:59.999",
    );
  });

  test.each(["day", "year"] as const)("may hold a %s", async (partitionBy) => {
    const store = await openNew({ partitionBy });
    const owned = await store.own("orders", "0");
    const eventTime = Date.UTC(2024, 1, 29, 23);
    await commit(store, owned, [logged(orders, owned, 0, { id: "x", eventTime }, ["ann", 1])], 0);
    expect(server.sql(`SELECT tableoid::regclass FROM s_${schema}.events_orders`)).toContain(
      partitionBy === "day" ? "2024_02_29" : "$2024",
    );
    // A source keeps the interval that it began with.
    const again = await open({ partitionBy: "month" });
    const next = await again.own("orders", "0");
    const later = { id: "y", eventTime: eventTime + 5 };
    await commit(again, next, [logged(orders, next, 1, later, ["ann", 1])], 1);
    expect((await all(again.history(query("orders")))).length).toBe(2);
  });

  test("get the index of a view that is declared later, beside readers and writers", async () => {
    const store = await openNew();
    const owned = await store.own("orders", "0");
    const event = (offset: number): LoggedEvent =>
      logged(orders, owned, offset, { id: `${offset}`, eventTime: Date.UTC(2024, offset % 5) + offset }, [
        `user-${offset}`,
        1,
      ]);
    await commit(
      store,
      owned,
      Array.from({ length: 5_000 }, (_, offset) => event(offset)),
      4_999,
    );
    const reading = store.read("orders", owned.partitionId, -1, 100)[Symbol.asyncIterator]();
    await all({ [Symbol.asyncIterator]: () => reading });
    await store.prepareSource({ ...orders, keys: [["user_id"]] });
    const later = logged(orders, owned, 5_000, { id: "later", eventTime: Date.UTC(2024, 9) }, ["user-7", 1]);
    await commit(store, owned, [later], 5_000);
    server.sql(`ANALYZE s_${schema}.events_orders`);
    const plan = server.sql(
      `EXPLAIN SELECT * FROM s_${schema}.events_orders WHERE user_id = 'user-7' AND _event_time < '2025-01-01Z' ORDER BY _event_time DESC LIMIT 1`,
    );
    expect(plan).toMatch(/Index Scan Backward using .*2024_10/);
    expect(
      server.sql(
        `SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid::regclass::text LIKE '%events_orders%' AND indrelid::regclass::text LIKE 's_${schema}.%'`,
      ),
    ).toBe("0");
    expect((await all(store.history({ ...query("orders"), keys: [["user-7"]] }))).length).toBe(2);
  });

  test("take ids and keys of any length up to 2,000 bytes; longer ones are set aside and hold nothing up", async () => {
    const store = await openNew();
    await store.prepareSource({ ...orders, keys: [["user_id"]] });
    const owned = await store.own("orders", "0");
    // PostgreSQL compresses entries: what repeats itself may be longer.
    const noise = (length: number): string => randomBytes(length).toString("base64").slice(0, length);
    const cases = [
      [noise(2_000), "ann"],
      [noise(20_000), "ann"],
      ["short", noise(2_000)],
      ["shorter", noise(9_000)],
      ["last", "ann"],
    ] as const;
    const events = cases.map(([id, user], offset) => logged(orders, owned, offset, { id }, [user, 1]));
    const result = await commit(store, owned, events, 4);
    expect(result.inserted.map((event) => event.offset)).toEqual([0, 2, 4]);
    const letters = await store.deadLetters({ limit: 9 });
    expect(letters.map(({ code, offset }) => [code, offset])).toEqual([
      ["KEY_TOO_LONG", 3],
      ["KEY_TOO_LONG", 1],
    ]);
  });
});

const canMount = process.getuid?.() === 0 && spawnSync("/bin/mount", ["--version"]).status === 0;

// Only root may mount a small disk.
test.runIf(canMount)("a full disk is told, and once there is room the same commit goes through", async () => {
  const disk = await mkdtemp(join(tmpdir(), "millrace-small-disk-"));
  spawnSync("/bin/mount", ["-t", "tmpfs", "-o", "size=8m,mode=777", "tmpfs", disk]);
  spawnSync("/bin/chown", ["postgres", disk]);
  server.sql(`CREATE TABLESPACE small LOCATION '${disk}'`);
  const url = `${server.url()}?options=${encodeURIComponent("-c default_tablespace=small")}`;
  try {
    const store = await openNew({ url });
    const owned = await store.own("orders", "0");
    const batch = (from: number): LoggedEvent[] =>
      Array.from({ length: 5_000 }, (_, index) =>
        logged(orders, owned, from + index, { id: `${from + index}` }, [`user ${"x".repeat(200)}`, index]),
      );
    let offset = 0;
    let refusal: unknown = null;
    while (refusal === null && offset < 1_000_000) {
      try {
        expect((await commit(store, owned, batch(offset), offset + 4_999)).inserted.length).toBe(5_000);
        offset += 5_000;
      } catch (error) {
        refusal = error;
      }
    }
    expect(refusal).toEqual(refused("OFFLINE_STORE_UNAVAILABLE", /disk is full/));
    expect((await store.partitions("orders"))[0]!.committed).toBe(offset - 1);
    spawnSync("/bin/mount", ["-o", "remount,size=200m", disk]);
    expect((await commit(store, owned, batch(offset), offset + 4_999)).inserted.length).toBe(5_000);
    expect((await all(store.read("orders", owned.partitionId, -1, 1e9))).length).toBe(offset + 5_000);
    await store.close();
    server.sql(`DROP SCHEMA s_${schema} CASCADE`);
    server.sql("DROP TABLESPACE small");
  } finally {
    spawnSync("/bin/umount", ["-l", disk]);
    await rm(disk, { recursive: true, force: true });
  }
});

describe("a server that takes no writes for a while, as in a failover", () => {
  test("is left for one that takes them, by connections that were made to it too", async () => {
    const url = await server.createDatabase();
    const database = new URL(url).pathname.slice(1);
    const store = await openNew({ url, maxConnections: 2 });
    const partition = await store.own("payments", "p0");
    server.sql(`ALTER DATABASE ${database} SET default_transaction_read_only = on`);
    server.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}'`);
    const request = { partition, events: [payment(partition, 0)], deadLetters: [], lastOffset: 0 };
    await expect(store.commit(request)).rejects.toEqual(refused("OFFLINE_STORE_UNAVAILABLE", /read-only/));
    server.sql(`ALTER DATABASE ${database} RESET default_transaction_read_only`);
    expect((await store.commit(request)).inserted).toHaveLength(1);
  });

  test("is not read either while it is a standby, which may lack what was committed", async () => {
    const own = await startPostgres();
    try {
      const store = await openNew({ url: own.url() });
      await store.own("payments", "p0");
      await own.stop();
      await own.asStandby(true);
      await own.start();
      await expect(store.partitions("payments")).rejects.toEqual(refused("OFFLINE_STORE_UNAVAILABLE", /primary/));
      await own.stop();
      await own.asStandby(false);
      await own.start();
      expect(await store.partitions("payments")).toMatchObject([{ partition: "p0" }]);
    } finally {
      for (const store of opened.splice(0)) await store.close();
      await own.remove();
    }
  });
});

describe("a server that goes away", () => {
  test.each([
    ["is restarted", "stop"],
    ["is killed", "kill"],
  ] as const)("while it %s nothing is lost and nothing comes twice", async (_, how) => {
    const store = await openNew();
    const partitions = await Promise.all(["0", "1"].map((partition) => store.own("orders", partition)));
    const told: LoggedEvent[] = [];
    let sent = 0;
    let finished = false;
    const write = async (owned: OwnedPartition): Promise<void> => {
      for (let offset = 0; !finished; offset += 2_000) {
        const events = Array.from({ length: 2_000 }, (_, index) =>
          logged(orders, owned, offset + index, { id: `${owned.partitionId}-${offset + index}` }, ["ann", index]),
        );
        sent += events.length;
        const { inserted } = await commit(store, owned, events, offset + 1_999);
        told.push(...inserted);
        await store.setApplied([{ viewVersion: "v", partitionId: owned.partitionId, offset }]);
      }
    };
    const writing = partitions.map(write);
    for (let round = 1; round <= 4; round++) {
      const target = told.length + 6_000;
      await expect.poll(() => told.length, { timeout: 60_000, interval: 7 * round }).toBeGreaterThan(target);
      await server[how]();
      await server.start();
    }
    finished = true;
    await Promise.all(writing);
    const stored: LoggedEvent[] = [];
    for (const owned of partitions) stored.push(...(await all(store.read("orders", owned.partitionId, -1, 1e9))));
    expect(stored.length).toBe(sent);
    const place = (event: LoggedEvent): string => `${event.partitionId}:${event.offset}`;
    expect(new Set(stored.map(place)).size).toBe(sent);
    expect(told.map(place).sort()).toEqual(stored.map(place).sort());
  });

  test.each([
    ["and took effect", true],
    ["and did not", false],
  ])("after a commit was sent %s leaves no doubt: what it inserted is told once", async (_, arrives) => {
    let isArmed = false;
    const proxy = createServer((near) => {
      const far = connect(server.port, "127.0.0.1");
      for (const socket of [near, far]) socket.on("error", () => {});
      far.pipe(near);
      near.on("close", () => far.end());
      near.on("data", (bytes) => {
        if (!isArmed || !bytes.includes("; COMMIT")) return void far.write(bytes);
        isArmed = false;
        far.unpipe(near);
        if (!arrives) {
          far.destroy();
          near.destroy();
          return;
        }
        // The server has done it when it answers, and nobody hears the answer.
        far.on("data", () => near.destroy()).resume();
        far.write(bytes);
      });
    }).listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const url = server.url().replace(`:${server.port}/`, `:${(proxy.address() as AddressInfo).port}/`);
    try {
      const store = await openNew({ url });
      const owned = await store.own("orders", "0");
      const events = [0, 1, 2].map((offset) => logged(orders, owned, offset, { id: `${offset}` }, ["ann", 1]));
      isArmed = true;
      expect(await commit(store, owned, events, 2)).toEqual({ inserted: events, duplicates: 0, conflicts: 0 });
      expect(isArmed).toBe(false);
      expect(await commit(store, owned, events, 2)).toEqual({ inserted: [], duplicates: 0, conflicts: 0 });
      expect(await all(store.read("orders", owned.partitionId, -1, 9))).toEqual(events);
      await store.close();
    } finally {
      proxy.close();
    }
  });

  test("ends a reading with the reason, and the next one works", async () => {
    const store = await openNew();
    const owned = await store.own("payments", "0");
    const events = Array.from({ length: 60_000 }, (_, offset) => payment(owned, offset));
    await commit(store, owned, events, 59_999);
    const reading = store.history(query("payments"))[Symbol.asyncIterator]();
    await reading.next();
    await server.kill();
    const rest = all({ [Symbol.asyncIterator]: () => reading });
    await expect(rest).rejects.toMatchObject({ code: "OFFLINE_STORE_UNAVAILABLE", kind: "operational" });
    await server.start();
    expect((await all(store.history(query("payments")))).length).toBe(60_000);
  });
});
