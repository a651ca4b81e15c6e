import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { CreateBucketCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, expect, it } from "vitest";
import { count, entity, featureView, fileReplay, memory, streamSource, sum, t } from "../src/definitions/index.ts";
import { Meta } from "../src/definitions/meta.ts";
import { memoryOfflineStore } from "../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../src/feature_store/offline/offline-store.ts";
import { memoryOnlineStore } from "../src/feature_store/online/memory-online-store.ts";
import { beamFiles } from "../src/pipeline/beam-files.ts";
import { createPipeline } from "../src/pipeline/pipeline.ts";
import { type BeamWorld, beamWorld } from "./beam/beam-world.ts";
import { csvFixtures } from "./beam/csv-fixtures.ts";
import { featuresOf } from "./beam/read-values.ts";
import { type KinesisServer, kinesisServer } from "./services/kinesis-server.ts";

const RANDOM_FILES = 60;
const DAY = Date.UTC(2026, 5, 1);
const user = entity("user", { user: t.string() });
const noted = (path: string) =>
  streamSource("notes", {
    ...{ stream: fileReplay({ path, format: "csv" }), eventTime: "at", clock: "stream", lateness: "1m" },
    schema: { user: t.string(), note: t.string().nullable(), at: t.timestamp() },
  });
const paid = streamSource("payments", {
  ...{ stream: memory(), eventTime: "at", clock: "stream", lateness: "1m" },
  schema: { user: t.string(), cents: t.int64(), at: t.timestamp() },
});
const spending = featureView("spending", {
  source: paid,
  entity: user,
  features: { n: count().over("1h"), total: sum(paid.cents).over("1h") },
});

let folder = "";
let world: BeamWorld;
let aws: KinesisServer;
const before = { ...process.env };
const ENVIRONMENT = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL_S3"];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-beam-files-"));
  const notes = noted(join(folder, "*.csv*"));
  const noting = featureView("noting", { source: notes, entity: user, features: { n: count().over("1h") } });
  const views = [noting[Meta], spending[Meta]];
  [world, aws] = await Promise.all([
    beamWorld(
      { entities: [user[Meta]], sources: [notes[Meta], paid[Meta]], views, services: [], models: [] },
      notes[Meta],
      1,
      { parts: ["kinesis", "parquet", "pubsub"] },
    ),
    kinesisServer("moto"),
  ]);
  // The clients' default chains find these.
  Object.assign(process.env, {
    ...{ AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret", AWS_REGION: "us-east-1" },
    AWS_ENDPOINT_URL_S3: aws.endpoint,
  });
});
afterAll(async () => {
  await Promise.all([world?.close(), aws?.close()]);
  for (const name of ENVIRONMENT) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
  await rm(folder, { recursive: true, force: true });
});

/** Payload hashes of history, and the dead letters with their bytes; sorted. */
async function recordsIn(store: OfflineStore): Promise<{ events: string[]; letters: string[] }> {
  const events: string[] = [];
  for (const { partitionId, committed } of await store.partitions("notes")) {
    for await (const some of store.read("notes", partitionId, -1, committed)) {
      for (const { hash0, hash1, hash2, hash3 } of some) events.push([hash0, hash1, hash2, hash3].join());
    }
  }
  const letters = await store.deadLetters({ source: "notes", limit: 10_000 });
  return {
    events: events.sort(),
    letters: letters
      .map(({ code, reason, bytes }) => `${code} ${reason} ${Buffer.from(bytes).toString("base64")}`)
      .sort(),
  };
}

it("takes whole, damaged and overlong CSV apart as the embedded engine does, record by record", async () => {
  const fixtures = csvFixtures(RANDOM_FILES);
  let packed = 0;
  for (const [name, text] of fixtures) {
    if (packed++ % 5 === 0) await writeFile(join(folder, `${name}.csv.gz`), gzipSync(text));
    else await writeFile(join(folder, `${name}.csv`), text);
  }
  const source = noted(join(folder, "*.csv*"))[Meta];
  const offline = memoryOfflineStore();
  const pipeline = createPipeline({ sources: [source], views: [], online: memoryOnlineStore(), offline });
  await pipeline.recover();
  await pipeline.start();
  await pipeline.finished();
  await pipeline.close();
  const expected = await recordsIn(offline);
  expect(expected.events.length).toBeGreaterThan(fixtures.size);
  expect(expected.letters.filter((letter) => letter.includes("opens a quote")).length).toBeGreaterThan(10);
  expect(expected.letters.filter((letter) => letter.includes("longer than")).length).toBeGreaterThan(3);

  await world.fold([{ source, ...(await beamFiles(source, undefined, folder)) }]);
  expect(await recordsIn(world.cold)).toEqual(expected);
});

it("backfills objects of S3, keeps events there as Parquet, and replaces what an earlier run of the generation wrote", async () => {
  const s3 = new S3Client({ endpoint: aws.endpoint, forcePathStyle: true });
  try {
    await s3.send(new CreateBucketCommand({ Bucket: "history" }));
    const lines = Array.from({ length: 20 }, (_, i) =>
      JSON.stringify({ user: `u${i % 2}`, cents: i, at: DAY + i * 1_000 }),
    );
    for (const [name, part] of [
      ["a", lines.slice(0, 10)],
      ["b", lines.slice(10)],
    ] as const) {
      await s3.send(new PutObjectCommand({ Bucket: "history", Key: `in/${name}.jsonl`, Body: part.join("\n") }));
    }
    // As one wrote it that began elsewhere.
    const earlier = "lake/payments/day=2026-06-01/g1-7.parquet";
    await s3.send(new PutObjectCommand({ Bucket: "history", Key: earlier, Body: "of an earlier run" }));
    const source = paid[Meta];
    const input = await beamFiles(source, ["s3://history/in/*.jsonl"], join(folder, "cache"));
    await world.fold([{ source, ...input }], {
      ...{ parquet: "s3://history/lake", anew: true },
      options: ["--awsRegion=us-east-1", `--endpoint=${aws.endpoint}`],
    });
    expect(await featuresOf(spending[Meta], world.hot, ["u1"], DAY + 60_000)).toEqual([10, 100]);
    const { Contents: objects = [] } = await s3.send(new ListObjectsV2Command({ Bucket: "history", Prefix: "lake/" }));
    expect(objects.map(({ Key }) => Key).sort()).toEqual([
      expect.stringMatching(/^lake\/payments\/_replaced\/\d{8}T\d{6}Z\/day=2026-06-01\/g1-7\.parquet$/),
      expect.stringMatching(/^lake\/payments\/day=2026-06-01\/g1-[0-9a-f]{32}\.parquet$/),
    ]);
    await expect(beamFiles(source, ["s3://history"], folder)).rejects.toMatchObject({ code: "FILE_URL_UNSUPPORTED" });
    await expect(beamFiles(source, ["s3://history/none/*"], folder)).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    await expect(beamFiles(source, ["s3://nowhere/x"], folder)).rejects.toMatchObject({ code: "S3_UNAVAILABLE" });
  } finally {
    s3.destroy();
  }
});

it("keeps each event once as Parquet, also when a generation runs again, and leaves the others' files alone", async () => {
  const lake = join(folder, "lake");
  const lines = Array.from({ length: 20 }, (_, i) => JSON.stringify({ user: "a", cents: i, at: DAY + i * 7_200_000 }));
  await writeFile(join(folder, "payments.jsonl"), lines.join("\n"));
  const source = paid[Meta];
  const run = async (generation: number): Promise<void> => {
    const input = await beamFiles(source, [join(folder, "payments.jsonl")], folder);
    await world.fold([{ source, ...input }], { parquet: lake, generation, anew: true });
  };
  await run(21);
  const first = await kept(lake);
  expect(first).toEqual({ n: 20, events: 20, files: 2 });
  await writeFile(join(folder, "payments.jsonl"), [...lines, lines[0]!.replace('"cents":0', '"cents":99')].join("\n"));
  await run(2);
  expect(await kept(lake)).toEqual({ n: 41, events: 21, files: 4 });
  await run(2);
  expect(await kept(lake)).toEqual({ n: 41, events: 21, files: 4 });
  expect((await readdir(join(lake, "payments"))).sort()).toEqual([
    "_replaced",
    "_unfinished",
    "day=2026-06-01",
    "day=2026-06-02",
  ]);
  // What was replaced is no source's.
  expect((await beamFiles(source, [join(lake, "payments")], folder)).input.files).toHaveLength(4);
});

async function kept(lake: string): Promise<unknown> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    const sql = `SELECT count(*)::INT AS n, count(DISTINCT cents)::INT AS events, count(DISTINCT filename)::INT AS files
      FROM read_parquet('${lake}/payments/*/*.parquet', filename = true)`;
    return (await connection.runAndReadAll(sql)).getRowObjectsJson()[0];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
