import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import type { StoredValue, ValueKey, ValueWrite } from "../src/feature_engineering/engine/feature-sink.ts";
import type { OnlineStore, OnlineStoreCapabilities } from "../src/feature_store/online/online-store.ts";

/** What the suite needs of an adapter. */
export interface OnlineStoreUnderTest {
  readonly capabilities: OnlineStoreCapabilities;
  /** An empty place for a store. */
  make(): Promise<OnlineStorePlace>;
}

export interface OnlineStorePlace {
  /** Opens a store there: with persistent stores again and again, and if `multiProcess`, several at a time. */
  open(): Promise<OnlineStore>;
  /** Removes the place; its stores are closed. */
  remove(): Promise<void>;
}

const KEYSPACE = "user_spend@1";
const text = new TextEncoder();

/** The tests that every {@link OnlineStore} passes. */
export function describeOnlineStore(name: string, underTest: OnlineStoreUnderTest): void {
  const { capabilities } = underTest;

  describe(name, () => {
    const cleanups: (() => Promise<void>)[] = [];

    async function makePlace(): Promise<OnlineStorePlace> {
      const place = await underTest.make();
      const opened: OnlineStore[] = [];
      cleanups.push(async () => {
        for (const store of opened) await store.close();
        await place.remove();
      });
      return {
        ...place,
        async open() {
          const store = await place.open();
          opened.push(store);
          return store;
        },
      };
    }

    async function openNew(): Promise<OnlineStore> {
      return (await makePlace()).open();
    }

    afterEach(async () => {
      for (const cleanup of cleanups.splice(0)) await cleanup();
    });

    test("declares the capabilities that the suite was told", async () => {
      const store = await openNew();
      expect(store.capabilities).toEqual(capabilities);
      expect(store.readSync !== undefined).toBe(capabilities.syncReads);
      expect(store.readMetaSync !== undefined).toBe(capabilities.syncReads);
    });

    test("reads null where nothing was written", async () => {
      const store = await openNew();
      expect(await readAll(store, [key("a"), key("b")])).toEqual([null, null]);
      expect(await readAll(store, [])).toEqual([]);
      expect(await store.compareAndSet([])).toEqual([]);
    });

    test("counts revisions from 1", async () => {
      const store = await openNew();
      for (let revision = 0; revision < 5; revision++) {
        expect(await store.compareAndSet([put("a", `v${revision}`, revision)])).toEqual([true]);
        expect(await readAll(store, [key("a")])).toEqual([stored(`v${revision}`, revision + 1)]);
      }
    });

    test("writes only what has the expected revision, value by value", async () => {
      const store = await openNew();
      await store.compareAndSet([put("a", "a1", 0), put("b", "b1", 0)]);
      const done = await store.compareAndSet([
        put("a", "late", 0),
        put("b", "b2", 1),
        put("c", "early", 1),
        put("d", "d1", 0),
        put("b", "late", 1),
      ]);
      expect(done).toEqual([false, true, false, true, false]);
      expect(await readAll(store, [key("a"), key("b"), key("c"), key("d")])).toEqual([
        stored("a1", 1),
        stored("b2", 2),
        null,
        stored("d1", 1),
      ]);
    });

    test("deletes under the same condition, and starts again at revision 1", async () => {
      const store = await openNew();
      await store.compareAndSet([put("a", "a1", 0)]);
      expect(await store.compareAndSet([remove("a", 0)])).toEqual([false]);
      expect(await store.compareAndSet([remove("a", 1), remove("none", 0), remove("none", 3)])).toEqual([
        true,
        true,
        false,
      ]);
      expect(await readAll(store, [key("a")])).toEqual([null]);
      expect(await store.compareAndSet([put("a", "again", 1)])).toEqual([false]);
      expect(await store.compareAndSet([put("a", "again", 0)])).toEqual([true]);
      expect(await readAll(store, [key("a")])).toEqual([stored("again", 1)]);
    });

    test("keeps keyspaces apart", async () => {
      const store = await openNew();
      await store.compareAndSet([
        { keyspace: "one", key: text.encode("k"), expectedRevision: 0, bytes: text.encode("1") },
        { keyspace: "two", key: text.encode("k"), expectedRevision: 0, bytes: text.encode("2") },
      ]);
      const values = await readAll(store, [
        { keyspace: "two", key: text.encode("k") },
        { keyspace: "one", key: text.encode("k") },
        { keyspace: "three", key: text.encode("k") },
      ]);
      expect(values.map((value) => value && decode(value.bytes))).toEqual(["2", "1", null]);
    });

    test("keeps a thousand values of one batch, and of many keyspaces", async () => {
      const store = await openNew();
      const writes = Array.from({ length: 1_000 }, (_, index) => ({
        ...put(`entity-${index}`, `value-${index}`, 0),
        keyspace: `view_${index % 37}@${index % 37}`,
      }));
      expect(await store.compareAndSet(writes)).toEqual(new Array(1_000).fill(true));
      expect(await readAll(store, writes)).toEqual(writes.map((_, index) => stored(`value-${index}`, 1)));
      expect([...(await store.keyspaces())].sort()).toEqual([...new Set(writes.map((w) => w.keyspace))].sort());
    });

    test("keeps a batch of more values than one transaction may want", async () => {
      const store = await openNew();
      const writes = Array.from({ length: 10_000 }, (_, index) => put(`entity-${index}`, `${index}`, 0));
      expect((await store.compareAndSet(writes)).every(Boolean)).toBe(true);
      expect((await readAll(store, writes)).map((value) => decode(value!.bytes))).toEqual(
        writes.map((_, index) => `${index}`),
      );
    });

    test("keeps empty values and values of 1 MB", async () => {
      const store = await openNew();
      const big = Uint8Array.from({ length: 1_000_000 }, (_, index) => (index * 7919) >> 3);
      const write = { ...key("big"), expectedRevision: 0, bytes: big };
      expect(await store.compareAndSet([write, put("empty", "", 0), put("small", "s", 0)])).toEqual([true, true, true]);
      const [gotSmall, gotBig, gotEmpty] = await readAll(store, [key("small"), key("big"), key("empty")]);
      expect(Buffer.compare(gotBig!.bytes, big)).toBe(0);
      expect(gotEmpty).toEqual({ revision: 1, bytes: new Uint8Array(0) });
      expect(gotSmall).toEqual(stored("s", 1));
      const found = await scanAll(store, KEYSPACE);
      expect(Buffer.compare(found.get(hex(text.encode("big")))!.bytes, big)).toBe(0);
    });

    test("takes keys of any bytes and length, and tells them apart", async () => {
      const store = await openNew();
      const keys = [
        new Uint8Array(0),
        new Uint8Array([0]),
        new Uint8Array([0, 0]),
        new Uint8Array(100).fill(255),
        ...[1_000, 1_972, 1_973, 1_974, 1_978, 5_000].flatMap((length) => [
          new Uint8Array(length).fill(1),
          new Uint8Array(length).fill(1).with(length - 1, 2),
        ]),
      ];
      const writes = keys.map((bytes, index) => ({
        keyspace: KEYSPACE,
        key: bytes,
        expectedRevision: 0,
        bytes: text.encode(`${index}`),
      }));
      expect(await store.compareAndSet(writes)).toEqual(keys.map(() => true));
      expect(await store.compareAndSet(writes)).toEqual(keys.map(() => false));
      expect(await readAll(store, writes)).toEqual(keys.map((_, index) => stored(`${index}`, 1)));
      const found = await scanAll(store, KEYSPACE);
      expect([...found.keys()].sort()).toEqual(keys.map(hex).sort());
      await store.compareAndSet(writes.map((write) => ({ ...write, expectedRevision: 1, bytes: null })));
      expect(await scanAll(store, KEYSPACE)).toEqual(new Map());
    });

    test("gives bytes away: neither side sees what the other does to its own", async () => {
      const store = await openNew();
      const bytes = text.encode("mine");
      const keyBytes = text.encode("key");
      await store.compareAndSet([{ keyspace: KEYSPACE, key: keyBytes, expectedRevision: 0, bytes }]);
      bytes.fill(0);
      keyBytes.fill(0);
      const [first] = await readAll(store, [key("key")]);
      const [second] = await readAll(store, [key("key")]);
      expect(first).toEqual(stored("mine", 1));
      first!.bytes.fill(0);
      expect(second).toEqual(stored("mine", 1));
      expect(await readAll(store, [key("key")])).toEqual([stored("mine", 1)]);
    });

    test("behaves as a map of revisions under any sequence of writes", async () => {
      const operation = fc.record({
        key: fc.constantFrom("a", "b", "c"),
        keyspace: fc.constantFrom("one", "two"),
        expected: fc.integer({ min: 0, max: 3 }),
        bytes: fc.option(fc.uint8Array({ maxLength: 40 }), { freq: 4 }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(fc.array(operation, { maxLength: 8 }), { maxLength: 6 }), async (batches) => {
          const store = await openNew();
          const model = new Map<string, StoredValue>();
          for (const batch of batches) {
            const expected = batch.map((o) => {
              const id = `${o.keyspace}/${o.key}`;
              const revision = model.get(id)?.revision ?? 0;
              if (revision !== o.expected) return false;
              if (o.bytes === null) model.delete(id);
              else model.set(id, { revision: revision + 1, bytes: Uint8Array.from(o.bytes) });
              return true;
            });
            const writes = batch.map((o) => ({
              keyspace: o.keyspace,
              key: text.encode(o.key),
              expectedRevision: o.expected,
              bytes: o.bytes,
            }));
            expect(await store.compareAndSet(writes)).toEqual(expected);
            for (const keyspace of ["one", "two"]) {
              const keys = ["a", "b", "c"].map((k) => ({ keyspace, key: text.encode(k) }));
              expect(await readAll(store, keys)).toEqual(
                ["a", "b", "c"].map((k) => model.get(`${keyspace}/${k}`) ?? null),
              );
            }
          }
        }),
        { numRuns: 25 },
      );
    });

    test("loses no increment of concurrent writers", async () => {
      const place = await makePlace();
      const first = await place.open();
      const writers = capabilities.multiProcess ? [first, await place.open(), await place.open()] : [first, first];
      const increments = 50;
      await Promise.all(
        writers.map(async (store) => {
          for (let done = 0; done < increments; ) {
            const [value] = await store.read([key("counter")]);
            const count = value === null ? 0 : Number(decode(value!.bytes));
            const [ok] = await store.compareAndSet([put("counter", `${count + 1}`, value?.revision ?? 0)]);
            if (ok) done++;
          }
        }),
      );
      expect(await readAll(first, [key("counter")])).toEqual([
        stored(`${writers.length * increments}`, writers.length * increments),
      ]);
    });

    test.runIf(capabilities.multiProcess)("shows another store's write at once", async () => {
      const place = await makePlace();
      const writer = await place.open();
      const reader = await place.open();
      expect(await readAll(reader, [key("a")])).toEqual([null]);
      for (let revision = 0; revision < 20; revision++) {
        await writer.compareAndSet([put("a", `${revision}`, revision)]);
        expect(await readAll(reader, [key("a")])).toEqual([stored(`${revision}`, revision + 1)]);
      }
    });

    test("scans every value of a keyspace and of no other", async () => {
      const store = await openNew();
      const writes = Array.from({ length: 3_000 }, (_, index) => put(`entity-${index}`, `${index}`, 0));
      await store.compareAndSet([...writes, { ...put("other", "x", 0), keyspace: "other" }]);
      const found = await scanAll(store, KEYSPACE);
      expect(found.size).toBe(3_000);
      for (const write of writes) expect(found.get(hex(write.key))).toEqual({ revision: 1, bytes: write.bytes });
      expect(await scanAll(store, "none")).toEqual(new Map());
    });

    test("scans while values are written: what was there throughout comes once", async () => {
      const store = await openNew();
      const writes = Array.from({ length: 2_000 }, (_, index) => put(`entity-${index}`, `${index}`, 0));
      await store.compareAndSet(writes);
      const seen = new Map<string, number>();
      let batches = 0;
      for await (const batch of store.scan(KEYSPACE)) {
        for (const { key: found } of batch) seen.set(hex(found), (seen.get(hex(found)) ?? 0) + 1);
        await store.compareAndSet([
          put(`entity-${batches}`, "changed", 1),
          put(`entity-new-${batches}`, "new", 0),
          remove(`entity-${1_999 - batches}`, 1),
        ]);
        batches++;
      }
      expect(batches).toBeGreaterThan(1);
      expect([...seen.values()].every((count) => count === 1)).toBe(true);
      for (let index = 0; index < 2_000 - batches; index++) {
        expect(seen.has(hex(text.encode(`entity-${index}`)))).toBe(true);
      }
    });

    test("drops a keyspace and leaves the others", async () => {
      const store = await openNew();
      const writes = Array.from({ length: 6_000 }, (_, index) => put(`entity-${index}`, `${index}`, 0));
      await store.compareAndSet([...writes, { ...put("kept", "x", 0), keyspace: "other" }]);
      await store.dropKeyspace(KEYSPACE);
      await store.dropKeyspace("none");
      expect(await store.keyspaces()).toEqual(["other"]);
      expect(await scanAll(store, KEYSPACE)).toEqual(new Map());
      expect(await readAll(store, [key("entity-5"), { keyspace: "other", key: text.encode("kept") }])).toEqual([
        null,
        stored("x", 1),
      ]);
      expect(await store.compareAndSet([put("entity-5", "again", 0)])).toEqual([true]);
      expect(await readAll(store, [key("entity-5")])).toEqual([stored("again", 1)]);
    });

    test("lists a keyspace as long as it holds a value", async () => {
      const store = await openNew();
      expect(await store.keyspaces()).toEqual([]);
      await store.compareAndSet([put("a", "1", 0)]);
      expect(await store.keyspaces()).toEqual([KEYSPACE]);
      await store.compareAndSet([remove("a", 1)]);
      expect(await store.keyspaces()).toEqual([]);
    });

    test("keeps facts beside the values", async () => {
      const store = await openNew();
      expect(await store.readMeta(["clock"])).toEqual([null]);
      await store.writeMeta(
        new Map([
          ["clock", "1700000000000"],
          ["naïve/∆", "ünï"],
          ["empty", ""],
        ]),
      );
      expect(await store.readMeta(["naïve/∆", "none", "clock", "empty"])).toEqual(["ünï", null, "1700000000000", ""]);
      await store.writeMeta(
        new Map([
          ["clock", null],
          ["empty", "now full"],
        ]),
      );
      expect(await store.readMeta(["clock", "empty"])).toEqual([null, "now full"]);
      expect(await store.keyspaces()).toEqual([]);
    });

    test("fetches values and facts together, for many readers at once", async () => {
      const store = await openNew();
      await store.compareAndSet([put("a", "1", 0), put("b", "2", 0)]);
      await store.writeMeta(new Map([["clock", "7"]]));
      const fetched = await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          store.fetch([key(i % 2 === 0 ? "a" : "none"), key("b"), key("b")], i % 3 === 0 ? ["clock", "none"] : []),
        ),
      );
      for (const [i, { values, facts }] of fetched.entries()) {
        expect(values).toEqual([i % 2 === 0 ? stored("1", 1) : null, stored("2", 1), stored("2", 1)]);
        expect(facts).toEqual(i % 3 === 0 ? ["7", null] : []);
      }
      fetched[0]!.values[1]!.bytes.fill(0);
      expect(fetched[1]!.values[1]).toEqual(stored("2", 1));
      expect(await store.fetch([], [])).toEqual({ values: [], facts: [] });
      if (store.readMetaSync !== undefined) expect(store.readMetaSync(["clock", "none"])).toEqual(["7", null]);
    });

    test("never answers a fetch with what was there before it came", async () => {
      const store = await openNew();
      for (let revision = 0; revision < 30; revision++) {
        const early = Array.from({ length: 5 }, () => store.fetch([key("a")], []));
        await store.compareAndSet([put("a", `${revision}`, revision)]);
        const late = await store.fetch([key("a")], []);
        expect(late.values).toEqual([stored(`${revision}`, revision + 1)]);
        await Promise.all(early);
      }
    });

    test("keeps marks per key space and partition, which never move backwards", async () => {
      const store = await openNew();
      const session = await store.openSession();
      const marksOf = async (keyspace: string) => {
        const shards = await store.marks(keyspace);
        expect(shards).toHaveLength(store.shards);
        for (const shard of shards) expect(shard).toEqual(shards[0]);
        return Object.fromEntries(shards[0]!);
      };
      expect(await marksOf("one")).toEqual({});
      await store.mark([], session);
      await store.mark(
        [
          { keyspace: "one", partitionId: 1, offset: 0 },
          { keyspace: "one", partitionId: 2, offset: 2 ** 50 },
          { keyspace: "two:{x}", partitionId: 1, offset: 7 },
        ],
        session,
      );
      await store.mark([{ keyspace: "one", partitionId: 1, offset: 9 }], session);
      await store.mark([{ keyspace: "one", partitionId: 1, offset: 8 }], session);
      expect(await marksOf("one")).toEqual({ 1: 9, 2: 2 ** 50 });
      expect(await marksOf("two:{x}")).toEqual({ 1: 7 });
      await store.dropKeyspace("one");
      expect(await marksOf("one")).toEqual({});
      expect(await marksOf("two:{x}")).toEqual({ 1: 7 });
      expect(await store.keyspaces()).toEqual([]);
    });

    test("gives every key a shard, always the same", async () => {
      const store = await openNew();
      const shards = Array.from({ length: 1_000 }, (_, i) => store.shardOf(text.encode(`entity-${i}`)));
      expect(shards.every((shard) => Number.isInteger(shard) && shard >= 0 && shard < store.shards)).toBe(true);
      expect(Array.from({ length: 1_000 }, (_, i) => store.shardOf(text.encode(`entity-${i}`)))).toEqual(shards);
    });

    test("writes in a session as without one", async () => {
      const store = await openNew();
      const session = await store.openSession();
      expect(await store.openSession()).toBe(session);
      await store.checkSession(session);
      const writes = Array.from({ length: 2_000 }, (_, index) => put(`entity-${index}`, `${index}`, 0));
      expect((await store.compareAndSet(writes, session)).every(Boolean)).toBe(true);
      expect((await store.compareAndSet(writes, session)).some(Boolean)).toBe(false);
      await store.checkSession(session);
      expect((await readAll(store, writes)).map((value) => decode(value!.bytes))).toEqual(
        writes.map((_, index) => `${index}`),
      );
    });

    test.runIf(capabilities.expires)("drops a value after its moment of expiry, and not before", async () => {
      const store = await openNew();
      const writes = ["soon", "late", "again"].map((name) => ({ ...put(name, "1", 0), expiresAt: Date.now() + 250 }));
      await store.compareAndSet([{ ...writes[0]! }, { ...writes[1]!, expiresAt: Date.now() + 1e7 }, writes[2]!]);
      // A later write without a moment stays.
      await store.compareAndSet([put("again", "2", 1)]);
      expect(await store.read([key("soon")])).toEqual([stored("1", 1)]);
      await expect.poll(() => store.read([key("soon")]), { timeout: 10_000 }).toEqual([null]);
      expect(await readAll(store, [key("late"), key("again")])).toEqual([stored("1", 1), stored("2", 2)]);
      expect(await store.compareAndSet([put("soon", "2", 1), put("soon", "new", 0)])).toEqual([false, true]);
    });

    test("resolves `durable` with and without writes before it", async () => {
      const store = await openNew();
      await store.durable();
      await store.compareAndSet([put("a", "1", 0)]);
      await store.durable();
      expect(await readAll(store, [key("a")])).toEqual([stored("1", 1)]);
    });

    test("refuses everything after `close`", async () => {
      const store = await openNew();
      await store.compareAndSet([put("a", "1", 0)]);
      await store.close();
      await store.close();
      const code = expect.objectContaining({ code: "ONLINE_STORE_UNAVAILABLE" });
      await expect(store.read([key("a")])).rejects.toEqual(code);
      await expect(store.compareAndSet([put("a", "2", 1)])).rejects.toEqual(code);
      await expect(store.readMeta(["a"])).rejects.toEqual(code);
      await expect(store.writeMeta(new Map([["a", "b"]]))).rejects.toEqual(code);
      await expect(store.keyspaces()).rejects.toEqual(code);
      await expect(scanAll(store, KEYSPACE)).rejects.toEqual(code);
    });

    test.runIf(capabilities.persistent)("keeps values, revisions and facts over a restart", async () => {
      const place = await makePlace();
      const store = await place.open();
      await store.compareAndSet([put("a", "1", 0), put("b", "1", 0)]);
      await store.compareAndSet([put("a", "2", 1), remove("b", 1)]);
      await store.writeMeta(new Map([["clock", "5"]]));
      await store.durable();
      await store.close();
      const again = await place.open();
      expect(await readAll(again, [key("a"), key("b")])).toEqual([stored("2", 2), null]);
      expect(await again.readMeta(["clock"])).toEqual(["5"]);
      expect(await again.keyspaces()).toEqual([KEYSPACE]);
      expect(await again.compareAndSet([put("a", "3", 2)])).toEqual([true]);
    });
  });
}

/** By all ways of reading, which must agree. */
async function readAll(store: OnlineStore, keys: readonly ValueKey[]): Promise<readonly (StoredValue | null)[]> {
  const values = await store.read(keys);
  expect(await store.fetch(keys, [])).toEqual({ values, facts: [] });
  if (store.readSync !== undefined) expect(store.readSync(keys)).toEqual(values);
  return values;
}

async function scanAll(store: OnlineStore, keyspace: string): Promise<Map<string, StoredValue>> {
  const found = new Map<string, StoredValue>();
  for await (const batch of store.scan(keyspace)) {
    for (const { key: foundKey, value } of batch) {
      expect(found.has(hex(foundKey))).toBe(false);
      found.set(hex(foundKey), value);
    }
  }
  return found;
}

function key(name: string): ValueKey {
  return { keyspace: KEYSPACE, key: text.encode(name) };
}

function put(name: string, value: string, expectedRevision: number): ValueWrite & { readonly bytes: Uint8Array } {
  return { ...key(name), expectedRevision, bytes: text.encode(value) };
}

function remove(name: string, expectedRevision: number): ValueWrite {
  return { ...key(name), expectedRevision, bytes: null };
}

function stored(value: string, revision: number): StoredValue {
  return { revision, bytes: text.encode(value) };
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
