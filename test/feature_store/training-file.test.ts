import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DuckDBInstance } from "@duckdb/node-api";
import { tableFromIPC } from "apache-arrow";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openArrowFrame } from "../../src/feature_store/offline/arrow-frame-files.ts";
import { readFrame } from "../../src/feature_store/offline/duckdb-frame.ts";
import { duckdbFrameFiles } from "../../src/feature_store/offline/duckdb-frame-files.ts";
import { writeTrainingFile } from "../../src/feature_store/training-file.ts";
import { createTrainingSet, type TrainingManifest } from "../../src/feature_store/training-set.ts";
import { trainingStore, visitors } from "./training-world.ts";

/** As files keep it: the profile is in millrace.json alone. */
function withoutProfile({ profile, ...manifest }: TrainingManifest): unknown {
  expect(profile).toMatchObject({ version: 1 });
  return JSON.parse(JSON.stringify(manifest));
}

describe("a training set in a file", () => {
  let folder = "";
  let entities = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "millrace-training-"));
    entities = join(folder, "visitors.csv");
    await writeFile(entities, visitors(57));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it.each(["fitted", "plain"])("holds in parts what service '%s' makes at once, in every format", async (service) => {
    const store = await trainingStore();
    const { rows } = await readFrame(entities);
    const whole = await createTrainingSet(store, service, { rows });
    const names = whole.columns.map(({ name }) => name);
    const expected = whole.rows.map((row) => row.map((value) => (typeof value === "bigint" ? Number(value) : value)));
    for (const [partRows, format] of [
      [10, "parquet"],
      [57, "arrow"],
      [1_000, "csv"],
    ] as const) {
      const out = join(folder, `train.${format}`);
      const manifest = await writeTrainingFile(store, { service, entities, out, partRows });
      expect(manifest).toEqual(whole.manifest);
      const read = format === "arrow" ? await arrowRows(out) : (await readFrame(out)).rows;
      expect(read.map((row) => names.map((name) => row[name]))).toEqual(expected);
      if (format === "arrow") {
        const { schema } = tableFromIPC(await readFile(out));
        expect(JSON.parse(schema.metadata.get("millrace")!)).toEqual(withoutProfile(whole.manifest));
      }
    }
    expect((await readdir(folder)).filter((name) => name.includes("part"))).toEqual([]);
  });

  it.each(["fitted", "plain"])(
    "keeps the manifest of '%s' in a Parquet file, of one part or several",
    async (service) => {
      const store = await trainingStore();
      for (const partRows of [10, 57, 1_000]) {
        const out = join(folder, "train.parquet");
        const manifest = await writeTrainingFile(store, { service, entities, out, partRows });
        const instance = await DuckDBInstance.create(":memory:");
        const connection = await instance.connect();
        const read = await connection.runAndReadAll(
          `SELECT decode(value) FROM parquet_kv_metadata('${out}') WHERE decode(key) = 'millrace'`,
        );
        expect(JSON.parse(String(read.getRows()[0]![0]))).toEqual(withoutProfile(manifest));
        connection.closeSync();
        instance.closeSync();
        expect((await readFrame(out)).rows).toHaveLength(57);
        expect((await readdir(folder)).filter((name) => name.includes("part"))).toEqual([]);
      }
    },
  );

  it("says in every format that times are in UTC", async () => {
    const store = await trainingStore();
    const csv = join(folder, "train.csv");
    await writeTrainingFile(store, { service: "plain", entities, out: csv, partRows: 10 });
    const [header, first] = (await readFile(csv, "utf8")).split("\n").map((line) => line.split(","));
    const [asked] = (await readFrame(entities)).rows;
    expect(first![header!.indexOf("event_timestamp")]).toBe(new Date(asked!.event_timestamp as number).toISOString());

    const parquet = join(folder, "train.parquet");
    await writeTrainingFile(store, { service: "plain", entities, out: parquet, partRows: 10 });
    const instance = await DuckDBInstance.create(":memory:");
    const connection = await instance.connect();
    const schema = await connection.runAndReadAll(
      `SELECT type, logical_type FROM parquet_schema('${parquet}') WHERE name = 'event_timestamp'`,
    );
    expect(schema.getRows()).toEqual([["INT64", expect.stringContaining("isAdjustedToUTC=1")]]);
    connection.closeSync();
    instance.closeSync();
    expect((await readFrame(csv)).rows).toEqual((await readFrame(parquet)).rows);
  });

  it("reads frames from Parquet and Arrow as from CSV", async () => {
    const store = await trainingStore();
    const out = join(folder, "train.parquet");
    await writeTrainingFile(store, { service: "plain", entities, out });
    const expected = (await readFrame(out)).rows;
    const files = await duckdbFrameFiles(folder);
    const parquet = join(folder, "visitors.parquet");
    const csv = await files.open(entities);
    await files.writeParquet(parquet, csv.columns, csv.read(0));
    await csv.close();
    await files.close();
    await writeTrainingFile(store, { service: "plain", entities: parquet, out });
    expect((await readFrame(out)).rows).toEqual(expected);
    const arrow = join(folder, "first.arrow");
    await writeTrainingFile(store, { service: "plain", entities: parquet, out: arrow });
    // What was carried along comes back: the features of the second time are the first's.
    const again = await openArrowFrame(arrow);
    expect(again.rows).toBe(57);
    await again.close();
  });

  it("goes on where a killed process was, and gives what an undisturbed one gives", async () => {
    const out = join(folder, "train.parquet");
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL("training-world.ts", import.meta.url)), entities, out],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    let said = "";
    await new Promise<void>((resolve) => {
      child.stdout.on("data", (data) => {
        said += data;
        if (said.includes("read 30")) child.kill("SIGKILL");
      });
      child.on("close", () => resolve());
    });
    expect(existsSync(out)).toBe(false);
    const kept = (await readdir(`${out}.parts`)).filter((name) => /^part-\d+\.parquet$/.test(name)).length;
    expect(kept).toBeGreaterThanOrEqual(3);
    const store = await trainingStore();
    let read = 0;
    const counted = {
      ...store,
      readInputs: (...args: Parameters<typeof store.readInputs>) => {
        read += args[1].count;
        return store.readInputs(...args);
      },
    };
    const manifest = await writeTrainingFile(counted, { service: "fitted", entities, out, partRows: 10 });
    expect(read).toBe(57 - kept * 10);
    const other = join(folder, "other.parquet");
    expect(await writeTrainingFile(store, { service: "fitted", entities, out: other, partRows: 10 })).toEqual(manifest);
    expect((await readFrame(out)).rows).toEqual((await readFrame(other)).rows);
  });

  it.each([
    ["9,2026-01-01T00:00:00Z,x,true,n", "LOOKUP_INVALID", "Row 57"],
    ["9,,1,true,n", "EVENT_TIMESTAMP_MISSING", "Row 57"],
  ])("names the row that it cannot read: %s", async (line, code, place) => {
    await writeFile(entities, `${visitors(57)}${line}\n`);
    const out = join(folder, "train.parquet");
    const made = writeTrainingFile(await trainingStore(), { service: "plain", entities, out, partRows: 10 });
    await expect(made).rejects.toMatchObject({ code, message: expect.stringContaining(place) });
  });

  it("takes a text key of digits as text", async () => {
    const files = await duckdbFrameFiles(folder);
    await writeFile(entities, "key,other\n007,7\n12,12\n");
    const reader = await files.open(entities, ["key", "none"]);
    for await (const { columns } of reader.read(0)) {
      expect(columns).toEqual([
        ["007", "12"],
        [7n, 12n],
      ]);
    }
    await reader.close();
    await files.close();
  });

  it("says what is wrong with files", async () => {
    const store = await trainingStore();
    const make = (frame: string, out: string): Promise<unknown> =>
      writeTrainingFile(store, { service: "plain", entities: join(folder, frame), out: join(folder, out) });
    await writeFile(join(folder, "bad.parquet"), "no Parquet");
    await writeFile(join(folder, "bad.arrow"), "no Arrow");
    await expect(make("none.csv", "a.parquet")).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    await expect(make("visitors.csv", "a.txt")).rejects.toMatchObject({ code: "FILE_FORMAT_UNKNOWN" });
    await expect(make("visitors.txt", "a.csv")).rejects.toMatchObject({ code: "FILE_FORMAT_UNKNOWN" });
    await expect(make("bad.parquet", "a.csv")).rejects.toMatchObject({ code: "FILE_CORRUPT" });
    await expect(make("bad.arrow", "a.csv")).rejects.toMatchObject({ code: "FILE_CORRUPT" });
  });
});

async function arrowRows(path: string): Promise<Record<string, unknown>[]> {
  const reader = await openArrowFrame(path);
  const rows: Record<string, unknown>[] = [];
  for await (const { count, columns } of reader.read(0)) {
    for (let row = 0; row < count; row++) {
      rows.push(
        Object.fromEntries(
          reader.columns.map(({ name }, i) => {
            const value = columns[i]![row]!;
            return [name, typeof value === "bigint" ? Number(value) : value];
          }),
        ),
      );
    }
  }
  return rows;
}
