import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const source = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
const LMDB = source("../src/feature_store/online/lmdb-online-store.ts");
const DUCKDB = source("../src/feature_store/offline/duckdb-offline-store.ts");
const COMMITTER = source("../test/feature_store/offline/duckdb-committer.ts");
const MIB = 2 ** 20;

/** Null if a small disk can be mounted, else why not. */
async function whyNoMount(): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-mount-"));
  const { status, stderr, error } = spawnSync("/bin/mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]);
  if (status === 0) spawnSync("/bin/umount", ["-l", folder]);
  await rm(folder, { recursive: true, force: true });
  return status === 0 ? null : (error?.message ?? String(stderr).trim());
}

/**
 * Runs a script in a process of its own, which a full disk may kill, on a small disk of which it may `fill` all but some
 * bytes. What it tells is returned.
 */
async function onSmallDisk(bytes: number, script: string): Promise<unknown[]> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-small-disk-"));
  const disk = join(folder, "disk");
  try {
    spawnSync("/bin/mkdir", [disk]);
    expect(spawnSync("/bin/mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", disk]).status).toBe(0);
    await writeFile(
      join(folder, "script.mjs"),
      `import { rmSync, statfsSync, writeFileSync } from "node:fs";
       const disk = ${JSON.stringify(disk)};
       const told = [];
       const tell = (...what) => told.push(...what);
       const free = () => statfsSync(disk).bavail * statfsSync(disk).bsize;
       const fill = (left) => writeFileSync(disk + "/fill", Buffer.alloc(Math.max(0, free() - left)));
       const empty = () => rmSync(disk + "/fill");
       const codeOf = (promise) => promise.then(() => "done", (error) => error.code + " " + error.kind);
       ${script}
       console.log(JSON.stringify(told));`,
    );
    const { stdout } = await promisify(execFile)(process.execPath, [join(folder, "script.mjs")]);
    return JSON.parse(stdout) as unknown[];
  } finally {
    spawnSync("/bin/umount", ["-l", disk]);
    await rm(folder, { recursive: true, force: true });
  }
}

const reason = await whyNoMount();
if (reason !== null) console.warn(`Full disks are not tested: a small one cannot be mounted (${reason}).`);

describe.skipIf(reason !== null)("a disk that is full", () => {
  it.each([0, 4_096, 8_192, 65_536])(
    "with %i bytes left is told when the hot store is opened",
    async (left) => {
      const told = await onSmallDisk(
        16 * MIB,
        `const { lmdbOnlineStore } = await import(${LMDB});
       fill(${left});
       tell(await codeOf(lmdbOnlineStore({ path: disk + "/hot" })));
       empty();
       const store = await lmdbOnlineStore({ path: disk + "/hot" });
       tell(await store.compareAndSet([{ keyspace: "v", key: Uint8Array.of(1), expectedRevision: 0, bytes: Uint8Array.of(7) }]));
       await store.close();
       fill(${left});
       tell(await codeOf(lmdbOnlineStore({ path: disk + "/hot" })));
       empty();
       const again = await lmdbOnlineStore({ path: disk + "/hot" });
       tell(again.readSync([{ keyspace: "v", key: Uint8Array.of(1) }])[0].bytes[0]);
       await again.close();`,
      );
      expect(told).toEqual(["ONLINE_STORE_FULL operational", [true], "ONLINE_STORE_FULL operational", 7]);
    },
    60_000,
  );

  it.each([24, 9])(
    "is told by the hot store's writes on %i MiB, which leave room for removals, marks and a start",
    async (mebibytes) => {
      const told = await onSmallDisk(
        mebibytes * MIB,
        `const { lmdbOnlineStore } = await import(${LMDB});
       let store = await lmdbOnlineStore({ path: disk + "/hot" });
       const write = (n) => ({ keyspace: "v", key: Uint8Array.of(n >> 8, n), expectedRevision: 0, bytes: new Uint8Array(20000).fill(n) });
       let done = 0;
       let refusal = "done";
       while (done < 5000 && refusal === "done") if ((refusal = await codeOf(store.compareAndSet([write(done)]))) === "done") done++;
       tell(refusal, done > 0);
       tell(await codeOf(store.writeMeta(new Map([["clock", "1"]]))));
       tell(await codeOf(store.compareAndSet([{ ...write(0), expectedRevision: 1, bytes: null }])));
       await store.close();
       store = await lmdbOnlineStore({ path: disk + "/hot" });
       const values = store.readSync(Array.from({ length: done }, (_, n) => write(n)));
       tell(values[0], values.slice(1).every((value, n) => value.bytes.length === 20000 && value.bytes[0] === (n + 1) % 256));
       await store.close();`,
      );
      expect(told).toEqual(["ONLINE_STORE_FULL operational", true, "done", "done", null, true]);
    },
    60_000,
  );

  it.each([0, 4_096, 65_536, MIB, 6 * MIB])(
    "with %i bytes left is told by the cold store, which loses nothing",
    async (left) => {
      const told = await onSmallDisk(
        32 * MIB,
        `const { duckdbOfflineStore } = await import(${DUCKDB});
       const { click, clicks } = await import(${COMMITTER});
       const options = { path: disk + "/cold.duckdb", checkpointBytes: ${MIB} };
       fill(${left});
       let committed = -1;
       async function commits(store, most) {
         await store.prepareSource(clicks);
         const owned = await store.own("clicks", "0");
         for (let n = 0; n < most; n++) {
           const events = Array.from({ length: 2000 }, (_, i) => click(owned.partitionId, committed + 1 + i));
           await store.commit({ partition: owned, events, deadLetters: [], lastOffset: committed + 2000 });
           committed += 2000;
         }
       }
       let store = null;
       tell(await codeOf((async () => { store = await duckdbOfflineStore(options); await commits(store, 1000); })()));
       empty();
       if (store !== null) await codeOf(store.close());
       store = await duckdbOfflineStore(options);
       await store.prepareSource(clicks);
       const known = (await store.partitions("clicks"))[0]?.committed ?? -1;
       tell(known === committed);
       await commits(store, 2);
       let events = 0;
       for await (const batch of store.read("clicks", 1, -1, 1e9)) events += batch.length;
       tell(events === committed + 1);
       await store.close();`,
      );
      expect(told).toEqual(["OFFLINE_STORE_UNAVAILABLE operational", true, true]);
    },
    120_000,
  );

  it("is told by the cold store's commits, which go on in the same process once there is room", async () => {
    const told = await onSmallDisk(
      64 * MIB,
      `const { duckdbOfflineStore } = await import(${DUCKDB});
       const { click, clicks } = await import(${COMMITTER});
       fill(${24 * MIB});
       const store = await duckdbOfflineStore({ path: disk + "/cold.duckdb", checkpointBytes: ${MIB} });
       await store.prepareSource(clicks);
       const owned = await store.own("clicks", "0");
       let committed = -1;
       const commit = async () => {
         const events = Array.from({ length: 2000 }, (_, i) => click(owned.partitionId, committed + 1 + i));
         await store.commit({ partition: owned, events, deadLetters: [], lastOffset: committed + 2000 });
         committed += 2000;
       };
       let refusal = "done";
       while (refusal === "done" && committed < 2e6) refusal = await codeOf(commit());
       tell(refusal, committed > 0, await codeOf(commit()));
       empty();
       tell(await codeOf(commit()));
       let events = 0;
       for await (const batch of store.read("clicks", owned.partitionId, -1, 1e9)) events += batch.length;
       tell(events === committed + 1);
       await store.close();`,
    );
    const refused = "OFFLINE_STORE_UNAVAILABLE operational";
    expect(told).toEqual([refused, true, refused, "done", true]);
  }, 120_000);
});
