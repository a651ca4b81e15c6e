import { execFile, fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ValueKey, ValueWrite } from "../../../src/feature_engineering/engine/feature-sink.ts";
import { lmdbOnlineStore } from "../../../src/feature_store/online/lmdb-online-store.ts";
import { ROUND_BYTES, ROUND_VALUES, readCount } from "./lmdb-writer.ts";

const writer = new URL("./lmdb-writer.ts", import.meta.url);
let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-lmdb-"));
  path = join(folder, "online.store");
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const sharedKeys: ValueKey[] = Array.from({ length: ROUND_VALUES }, (_, index) => ({
  keyspace: "shared",
  key: new TextEncoder().encode(`entity-${index}`),
}));

test("reads in the main thread while a worker thread writes: every value whole, every finished round visible", async () => {
  const rounds = 60;
  await using store = await lmdbOnlineStore({ path });
  const worker = new Worker(writer, { workerData: { task: "write", path, rounds } });
  const exited = once(worker, "exit");
  let told = 0;
  let reads = 0;
  const check = (): void => {
    const values = store.readSync!(sharedKeys);
    reads++;
    // One batch of writes is one transaction, one batch of reads one snapshot.
    const seen = new Set(values.map((value) => value?.revision ?? 0));
    expect(seen.size).toBe(1);
    const [revision] = seen as unknown as [number];
    expect(revision).toBeGreaterThanOrEqual(told);
    for (const value of values) {
      if (value === null) continue;
      expect(value.bytes.length).toBe(ROUND_BYTES);
      expect(value.bytes[0]).toBe(revision);
      expect(value.bytes[ROUND_BYTES - 1]).toBe(revision);
    }
  };
  const finished = new Promise<void>((resolve) => {
    worker.on("message", (round: number) => {
      told = round;
      check();
      if (round === rounds) resolve();
    });
  });
  while (told < rounds) {
    check();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await finished;
  await exited;
  check();
  expect(reads).toBeGreaterThan(rounds);
  expect(await store.compareAndSet([{ ...sharedKeys[0]!, expectedRevision: rounds, bytes: null }])).toEqual([true]);
});

test("loses no increment of a thread, another thread and another process", async () => {
  const rounds = 200;
  await using store = await lmdbOnlineStore({ path });
  const orders = { task: "count", path, rounds };
  const exits = [
    once(new Worker(writer, { workerData: orders }), "exit"),
    once(new Worker(writer, { workerData: orders }), "exit"),
    once(fork(fileURLToPath(writer), [JSON.stringify(orders)]), "exit"),
  ];
  expect((await Promise.all(exits)).map(([code]) => code)).toEqual([0, 0, 0]);
  const [counter] = store.readSync!([{ keyspace: "shared", key: new TextEncoder().encode("counter") }]);
  expect(readCount(counter!.bytes)).toBe(3 * rounds);
  expect(counter!.revision).toBe(3 * rounds);
});

test.each([1, 2, 3])("loses nothing that another process takes back while it opens: %i transactions", async (back) => {
  await using store = await lmdbOnlineStore({ path });
  const [key, other] = sharedKeys as [ValueKey, ValueKey];
  const write = (of: ValueKey, expectedRevision: number): Promise<readonly boolean[]> =>
    store.compareAndSet([{ ...of, expectedRevision, bytes: Uint8Array.of(expectedRevision + 1) }]);
  for (let revision = 0; revision < 4; revision++) expect(await write(key, revision)).toEqual([true]);

  await takeBack(back);
  expect(await write(other, 0)).toEqual([true]);
  expect(store.readSync!([key, other]).map((value) => value?.revision)).toEqual([4, 1]);

  await takeBack(back);
  expect(await write(key, 3)).toEqual([false]);
  expect(await write(key, 4)).toEqual([true]);

  await takeBack(back);
  await using second = await lmdbOnlineStore({ path, readOnly: true });
  expect(second.readSync!([key])[0]!.revision).toBe(5);
  expect(store.readSync!([key, other]).map((value) => value?.revision)).toEqual([5, 1]);
});

/** Does what LMDB does in a process that opens the folder and read its last transaction before the newest ones. */
async function takeBack(transactions: number): Promise<void> {
  const script = `
    const { openSync, readSync, writeSync } = require("node:fs");
    const file = openSync(process.argv[1], "r+");
    const last = Buffer.alloc(8);
    readSync(file, last, 0, 8, 8);
    last.writeBigUInt64LE(last.readBigUInt64LE() - BigInt(process.argv[2]));
    writeSync(file, last, 0, 8, 8);`;
  await promisify(execFile)(process.execPath, ["--eval", script, join(path, "lock.mdb"), `${transactions}`]);
}

test("holds whole rounds after its writer was killed", async () => {
  for (let life = 0; life < 3; life++) {
    const child = fork(fileURLToPath(writer), [JSON.stringify({ task: "write", path, rounds: 250 })]);
    let told = 0;
    const killed = once(child, "exit");
    child.on("message", (round: number) => {
      told = round;
      if (round === 10 + 7 * life) child.kill("SIGKILL");
    });
    await killed;
    await using store = await lmdbOnlineStore({ path });
    const values = store.readSync!(sharedKeys);
    expect(new Set(values.map((value) => value!.revision)).size).toBe(1);
    expect(values[0]!.revision).toBeGreaterThanOrEqual(told);
    expect(values.every((value) => value!.bytes[0] === value!.bytes[ROUND_BYTES - 1])).toBe(true);
    const clear = sharedKeys.map((key, index) => ({ ...key, expectedRevision: values[index]!.revision, bytes: null }));
    expect((await store.compareAndSet(clear)).every(Boolean)).toBe(true);
  }
});

test("gives the space of deleted values to new ones", async () => {
  await using store = await lmdbOnlineStore({ path });
  const size = async (): Promise<number> => (await stat(join(path, "data.mdb"))).size;
  const fill = (keyspace: string): ValueWrite[] =>
    Array.from({ length: 1_000 }, (_, index) => ({
      keyspace,
      key: new TextEncoder().encode(`${index}`),
      expectedRevision: 0,
      bytes: new Uint8Array(4_000).fill(index),
    }));
  await store.compareAndSet(fill("view@0"));
  await store.dropKeyspace("view@0");
  await store.compareAndSet(fill("view@1"));
  await store.dropKeyspace("view@1");
  const settled = await size();
  for (let version = 2; version < 8; version++) {
    await store.compareAndSet(fill(`view@${version}`));
    await store.dropKeyspace(`view@${version}`);
  }
  expect(await size()).toBeLessThan(settled * 1.5);
});

test("says that it is full, keeps what it has, and takes values again after a delete", async () => {
  await using store = await lmdbOnlineStore({ path, mapSizeBytes: 400_000 });
  const write = (index: number, expectedRevision = 0): ValueWrite => ({
    keyspace: "view",
    key: new TextEncoder().encode(`${index}`),
    expectedRevision,
    bytes: new Uint8Array(20_000).fill(index),
  });
  let written = 0;
  await expect(
    (async () => {
      for (; written < 100; written++) await store.compareAndSet([write(written)]);
    })(),
  ).rejects.toMatchObject({ code: "ONLINE_STORE_FULL", kind: "operational" });
  expect(written).toBeGreaterThan(5);
  expect(written).toBeLessThan(20);
  const values = await store.read(Array.from({ length: written + 1 }, (_, index) => write(index)));
  expect(values.map((value) => value?.revision ?? null)).toEqual([...new Array(written).fill(1), null]);
  await store.compareAndSet([
    { ...write(0), expectedRevision: 1, bytes: null },
    { ...write(1), expectedRevision: 1, bytes: null },
  ]);
  expect(await store.compareAndSet([write(1_000)])).toEqual([true]);
});

test("says that the disk is full, and keeps what it has", async () => {
  const script = `
    import { lmdbOnlineStore } from ${JSON.stringify(new URL("../../../src/feature_store/online/lmdb-online-store.ts", import.meta.url).href)};
    const store = await lmdbOnlineStore({ path: ${JSON.stringify(path)} });
    let written = 0;
    try {
      for (; written < 500; written++) {
        await store.compareAndSet([{ keyspace: "v", key: Uint8Array.of(written >> 8, written), expectedRevision: 0, bytes: new Uint8Array(20000).fill(1) }]);
      }
    } catch (error) { console.log(JSON.stringify({ written, code: error.code, kept: store.readSync([{ keyspace: "v", key: Uint8Array.of(0, 3) }])[0]?.bytes.length })); }
    process.exit(0);
  `;
  await writeFile(join(folder, "fill.mjs"), script);
  // The shell's limit is in blocks of 1,024 bytes; beyond it, writes fail as they do on a full disk.
  const limited = `ulimit -f 2000; trap '' XFSZ; exec "$0" "$1"`;
  const { stdout } = await promisify(execFile)("bash", ["-c", limited, process.execPath, join(folder, "fill.mjs")]);
  const seen = JSON.parse(stdout) as { written: number; code: string; kept: number };
  expect(seen).toMatchObject({ code: "ONLINE_STORE_FULL", kept: 20_000 });
  await using store = await lmdbOnlineStore({ path });
  expect(store.readSync!([{ keyspace: "v", key: Uint8Array.of(0, seen.written - 1) }])[0]!.revision).toBe(1);
});

test("refuses a data file that is none, or that was cut short", async () => {
  await mkdir(path);
  await writeFile(join(path, "data.mdb"), "this is not a database".repeat(2_000));
  await expect(lmdbOnlineStore({ path })).rejects.toMatchObject({ code: "ONLINE_STORE_CORRUPT", kind: "operational" });

  await rm(path, { recursive: true });
  const store = await lmdbOnlineStore({ path });
  await store.compareAndSet(sharedKeys.map((key) => ({ ...key, expectedRevision: 0, bytes: new Uint8Array(5_000) })));
  await store.close();
  await truncate(join(path, "data.mdb"), 65_536);
  await expect(lmdbOnlineStore({ path })).rejects.toMatchObject({ code: "ONLINE_STORE_CORRUPT" });
});

test("refuses a path that is a file or lies below one", async () => {
  await writeFile(path, "a file");
  const code = { code: "ONLINE_STORE_UNAVAILABLE", kind: "operational" };
  await expect(lmdbOnlineStore({ path })).rejects.toMatchObject(code);
  await expect(lmdbOnlineStore({ path: join(path, "below") })).rejects.toMatchObject(code);
  expect(await readFile(path, "utf8")).toBe("a file");
});

test("opened read-only, it reads what another writes, refuses writes, and makes nothing", async () => {
  await expect(lmdbOnlineStore({ path, readOnly: true })).rejects.toMatchObject({ code: "ONLINE_STORE_UNAVAILABLE" });
  await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
  await using store = await lmdbOnlineStore({ path });
  await using reader = await lmdbOnlineStore({ path, readOnly: true });
  const write = { ...sharedKeys[0]!, expectedRevision: 0, bytes: Uint8Array.of(1) };
  await expect(reader.compareAndSet([write])).rejects.toMatchObject({ code: "ONLINE_STORE_UNAVAILABLE" });
  await expect(reader.writeMeta(new Map([["a", "b"]]))).rejects.toMatchObject({ code: "ONLINE_STORE_UNAVAILABLE" });
  await store.compareAndSet([write]);
  expect(reader.readSync!([write])).toEqual([{ revision: 1, bytes: Uint8Array.of(1) }]);
  await reader.durable();
});
