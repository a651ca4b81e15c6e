import { execFile, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { LoggedEvent } from "../../../src/feature_engineering/engine/event-log.ts";
import { duckdbOfflineStore } from "../../../src/feature_store/offline/duckdb-offline-store.ts";
import { click, clicks } from "./duckdb-committer.ts";

const committer = fileURLToPath(new URL("./duckdb-committer.ts", import.meta.url));
const module = new URL("../../../src/feature_store/offline/duckdb-offline-store.ts", import.meta.url).href;
let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-duckdb-"));
  path = join(folder, "offline.duckdb");
});

afterEach(() => rm(folder, { recursive: true, force: true }));

test("loses nothing that was told as done, and keeps nothing by halves, when its process is killed at any moment", async () => {
  let committed = -1;
  for (let life = 0; life < 10; life++) {
    const child = fork(committer, ["commit", path], { stdio: "inherit" });
    const told = { committed, applied: -1 };
    const exit = once(child, "exit");
    const wanted = Math.floor(Math.random() * 40);
    let messages = 0;
    child.on("message", (message: Partial<typeof told>) => {
      Object.assign(told, message);
      // Some moment of the work that follows.
      if (++messages === wanted + 1) setTimeout(() => child.kill("SIGKILL"), Math.random() * 15);
    });
    await exit;
    await using store = await duckdbOfflineStore({ path });
    const [partition] = await store.partitions("clicks");
    expect(partition!.committed).toBeGreaterThanOrEqual(told.committed);
    let next = 0;
    for await (const batch of store.read("clicks", partition!.partitionId, -1, Number.MAX_SAFE_INTEGER)) {
      for (const event of batch) if (event.offset !== next++) expect(event.offset).toBe(next - 1);
    }
    expect(next - 1).toBe(partition!.committed);
    const [applied] = await store.applied("view");
    expect(applied?.offset ?? -1).toBeGreaterThanOrEqual(told.applied);
    expect(applied?.offset ?? -1).toBeLessThanOrEqual(partition!.committed);
    committed = partition!.committed;
  }
  expect(committed).toBeGreaterThan(1_000);
});

test("names the process that has the file open", async () => {
  const child = fork(committer, ["hold", path]);
  await once(child, "message");
  await expect(duckdbOfflineStore({ path })).rejects.toMatchObject({
    code: "OFFLINE_STORE_LOCKED",
    kind: "operational",
    message: expect.stringContaining(`process ${child.pid}`),
    details: { pid: child.pid },
  });
  child.disconnect();
  expect((await once(child, "exit"))[0]).toBe(0);
  await using store = await duckdbOfflineStore({ path });
  expect(await store.documents("plan")).toEqual([]);
});

test("does not open the file twice in one process, whose second lock would succeed", async () => {
  const locked = { code: "OFFLINE_STORE_LOCKED", message: expect.stringContaining("this process") };
  await using store = await duckdbOfflineStore({ path });
  await expect(duckdbOfflineStore({ path })).rejects.toMatchObject(locked);
  await expect(duckdbOfflineStore({ path: join(folder, ".", "offline.duckdb"), readOnly: true })).rejects.toMatchObject(
    locked,
  );
  const other = new Worker(
    `const { parentPort } = require("node:worker_threads");
     import(${JSON.stringify(module)}).then((m) => m.duckdbOfflineStore({ path: ${JSON.stringify(path)} })).then(() => "opened", (e) => e.code).then((r) => parentPort.postMessage(r));`,
    { eval: true },
  );
  expect((await once(other, "message"))[0]).toBe("OFFLINE_STORE_LOCKED");
  await once(other, "exit");
  await store.putDocument("plan", "a", "{}");
  await store.close();
  await using again = await duckdbOfflineStore({ path });
  expect((await again.documents("plan")).length).toBe(1);
});

test("refuses a file that is none of DuckDB's, and one that was damaged", async () => {
  const corrupt = { code: "OFFLINE_STORE_CORRUPT", kind: "operational" };
  await writeFile(path, "this is not a database".repeat(1_000));
  await expect(duckdbOfflineStore({ path })).rejects.toMatchObject(corrupt);
  await rm(path);

  await fill(30_000);
  const file = await open(path, "r+");
  const { size } = await file.stat();
  const rubbish = Buffer.alloc(4_096, 0x55);
  for (let at = 12_288; at < size; at += 262_144) await file.write(rubbish, 0, rubbish.length, at + 100);
  await file.close();
  await expect(
    (async () => {
      await using store = await duckdbOfflineStore({ path });
      for await (const _ of store.read("clicks", 1, -1, 1e9));
    })(),
  ).rejects.toMatchObject(corrupt);
});

test("makes the file anew that a dying process left empty", async () => {
  await writeFile(path, "");
  await using store = await duckdbOfflineStore({ path });
  expect(await store.deadLetters({ limit: 1 })).toEqual([]);
});

test("says what it cannot use: a folder, a path below a file, a file of a newer Millrace, none to be read only", async () => {
  const unavailable = { code: "OFFLINE_STORE_UNAVAILABLE" };
  await expect(duckdbOfflineStore({ path: folder })).rejects.toMatchObject(unavailable);
  await writeFile(join(folder, "file"), "x");
  await expect(duckdbOfflineStore({ path: join(folder, "file", "below.duckdb") })).rejects.toMatchObject(unavailable);
  await expect(duckdbOfflineStore({ path, readOnly: true })).rejects.toMatchObject(unavailable);
  await (await duckdbOfflineStore({ path })).close();
  await sql("UPDATE schema_version SET version = 99");
  await expect(duckdbOfflineStore({ path })).rejects.toMatchObject({
    ...unavailable,
    message: expect.stringContaining("newer Millrace"),
  });
});

test("says that the disk is full, commits nothing then, and keeps what it has", async () => {
  const script = `
    import { duckdbOfflineStore } from ${JSON.stringify(module)};
    import { click, clicks } from ${JSON.stringify(new URL("./duckdb-committer.ts", import.meta.url).href)};
    const store = await duckdbOfflineStore({ path: ${JSON.stringify(path)} });
    await store.prepareSource(clicks);
    const owned = await store.own("clicks", "0");
    let offset = -1, done = -1;
    try {
      for (let n = 0; n < 1000; n++) {
        const events = Array.from({ length: 2000 }, () => click(owned.partitionId, ++offset));
        await store.commit({ partition: owned, events, deadLetters: [], lastOffset: offset });
        done = offset;
      }
    } catch (error) { console.log(JSON.stringify({ done, code: error.code, message: error.message })); }
    process.exit(0);
  `;
  await writeFile(join(folder, "fill.mjs"), script);
  // The shell's limit is in blocks of 1,024 bytes; beyond it, writes fail as they do on a full disk.
  const limited = `ulimit -f 3000; trap '' XFSZ; exec "$0" "$1"`;
  const { stdout } = await promisify(execFile)("bash", ["-c", limited, process.execPath, join(folder, "fill.mjs")]);
  const seen = JSON.parse(stdout) as { done: number; code: string };
  expect(seen).toMatchObject({ code: "OFFLINE_STORE_UNAVAILABLE" });
  expect(seen.done).toBeGreaterThan(0);
  await using store = await duckdbOfflineStore({ path });
  const [partition] = await store.partitions("clicks");
  expect(partition!.committed).toBe(seen.done);
  expect((await count(store.read("clicks", 1, -1, 1e9))).length).toBe(seen.done + 1);
});

test("opened read-only, it reads and refuses writes, and several processes may", async () => {
  await fill(100);
  await using store = await duckdbOfflineStore({ path, readOnly: true });
  const [partition] = await store.partitions("clicks");
  expect((await count(store.read("clicks", partition!.partitionId, -1, 1e9))).length).toBe(100);
  await expect(store.putDocument("plan", "a", "{}")).rejects.toMatchObject({ code: "OFFLINE_STORE_UNAVAILABLE" });
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "-e",
    `import { duckdbOfflineStore } from ${JSON.stringify(module)};
     const store = await duckdbOfflineStore({ path: ${JSON.stringify(path)}, readOnly: true });
     console.log((await store.partitions("clicks"))[0].committed);
     await store.close();`,
  ]);
  expect(stdout.trim()).toBe("99");
});

test("keeps events in a table that any tool can read", async () => {
  await fill(3);
  const rows = await sql(
    `SELECT click_id, user_id, seconds, _event_id, _event_time::VARCHAR, _ingested_at::VARCHAR, _partition_id, _offset,
            _version, _payload_hash::VARCHAR
     FROM events_clicks WHERE _event_time > '2023-11-14' ORDER BY _offset`,
  );
  expect(rows[2]).toEqual([
    "click-2-with-a-long-id",
    2n,
    2 / 7,
    "click-2-with-a-long-id",
    "2023-11-14 22:13:20.02",
    "2023-11-14 22:13:20.52",
    1,
    2n,
    null,
    String((2n << 96n) | (1n << 64n) | (2n << 32n) | 3n),
  ]);
});

test("sorts a history larger than its memory on disk, and knows every id among many", async () => {
  const rows = 150_000;
  await using store = await duckdbOfflineStore({ path, memoryLimitBytes: 96 * 2 ** 20, threads: 1 });
  const wide = {
    ...clicks,
    columns: [...clicks.columns, { name: "text", type: { kind: "string", nullable: true } }],
  } as const;
  await store.prepareSource(wide);
  const owned = await store.own("clicks", "0");
  const make = (offset: number): LoggedEvent => {
    const event = click(owned.partitionId, offset);
    return { ...event, row: [...event.row, `${offset} `.repeat(150)] };
  };
  for (let start = 0; start < rows; start += 5_000) {
    const events = Array.from({ length: 5_000 }, (_, index) => make(start + index));
    expect(
      (await store.commit({ partition: owned, events, deadLetters: [], lastOffset: start + 4_999 })).inserted.length,
    ).toBe(5_000);
  }
  const ended = new Set<bigint>();
  let last = [-1n, -1] as [bigint, number];
  let seen = 0;
  const history = store.history({
    source: "clicks",
    keyColumns: ["user_id"],
    keys: null,
    from: null,
    before: null,
    knowledge: "ingested_at",
  });
  for await (const batch of history) {
    for (const event of batch) {
      const key = event.row[1] as bigint;
      if (key !== last[0]) {
        ended.add(last[0]);
        if (ended.has(key)) expect(ended).not.toContain(key);
      } else if (event.offset <= last[1]) {
        expect([key, event.offset]).toEqual(last);
      }
      last = [key, event.offset];
      seen++;
    }
  }
  expect(seen).toBe(rows);
  let next = 0;
  for await (const batch of store.read("clicks", owned.partitionId, -1, rows)) {
    for (const event of batch) if (event.offset !== next++) expect(event.offset).toBe(next - 1);
  }
  expect(next).toBe(rows);
  const known = Array.from({ length: 1_500 }, (_, index) => ({ ...make(index * 100), offset: rows + index }));
  const fresh = Array.from({ length: 1_500 }, (_, index) => make(rows + 1_500 + index));
  expect(
    await store.commit({ partition: owned, events: [...known, ...fresh], deadLetters: [], lastOffset: rows + 3_000 }),
  ).toEqual({ inserted: fresh, duplicates: 1_500, conflicts: 0 });
  expect((await readdir(folder)).filter((name) => name.endsWith(".tmp")).length).toBeLessThanOrEqual(1);
  expect((await stat(path)).size).toBeGreaterThan(0);
});

async function fill(rows: number): Promise<void> {
  await using store = await duckdbOfflineStore({ path });
  await store.prepareSource(clicks);
  const owned = await store.own("clicks", "0");
  const events = Array.from({ length: rows }, (_, offset) => click(owned.partitionId, offset));
  await store.commit({ partition: owned, events, deadLetters: [], lastOffset: rows - 1 });
}

async function count(batches: AsyncIterable<readonly LoggedEvent[]>): Promise<LoggedEvent[]> {
  const events: LoggedEvent[] = [];
  for await (const batch of batches) events.push(...batch);
  return events;
}

/** What another tool sees of the file. */
async function sql(text: string): Promise<readonly (readonly unknown[])[]> {
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  const rows = (await connection.runAndReadAll(text)).getRows();
  connection.closeSync();
  instance.closeSync();
  return rows;
}
