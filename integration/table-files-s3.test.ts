import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parquet } from "../src/definitions/index.ts";
import { stageTableFiles } from "../src/feature_store/offline/duckdb-table-files.ts";
import { answers } from "./services/answers.ts";
import { freePorts } from "./services/free-ports.ts";
import { pythonEnvironment } from "./services/python-environment.ts";
import { spawnService } from "./services/spawn-service.ts";

const columns = [
  { name: "shop", type: { kind: "string", nullable: false } },
  { name: "day", type: { kind: "string", nullable: true } },
  { name: "price", type: { kind: "float64", nullable: true } },
] as const;

describe("history in S3-compatible storage", () => {
  let folder = "";
  let endpoint = "";
  let server: ChildProcess | null = null;
  let client: S3Client | null = null;
  const before = { ...process.env };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "millrace-s3-"));
    const bin = pythonEnvironment(["moto[server]"]);
    const [port] = await freePorts(1);
    server = spawnService(join(bin, "moto_server"), ["-H", "127.0.0.1", "-p", String(port)], { stdio: "ignore" });
    endpoint = `http://127.0.0.1:${port}`;
    // The client's default chain finds the credentials here.
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret", AWS_REGION: "us-east-1" });
    const deadline = performance.now() + 60_000;
    while (!(await answers(endpoint))) {
      if (performance.now() > deadline) throw new TypeError("moto_server does not answer");
      await wait(100);
    }
    client = new S3Client({ endpoint, forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: "history" }));
  }, 180_000);
  afterAll(async () => {
    client?.destroy();
    if (server !== null) {
      const ended = once(server, "exit");
      server.kill("SIGKILL");
      await ended;
    }
    for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"]) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
    await rm(folder, { recursive: true, force: true });
  });

  async function put(key: string, values: string): Promise<void> {
    const path = join(folder, "object.parquet");
    const instance = await DuckDBInstance.create(":memory:");
    const connection = await instance.connect();
    await connection.run(`COPY (SELECT * FROM (VALUES ${values}) v(shop, price)) TO '${path}' (FORMAT parquet)`);
    connection.closeSync();
    instance.closeSync();
    await client!.send(new PutObjectCommand({ Bucket: "history", Key: key, Body: await readFile(path) }));
  }

  const stage = async (url: string): Promise<unknown[]> => {
    const path = await stageTableFiles(
      { name: "prices", columns },
      parquet(url, { s3: { endpoint } }),
      join(folder, "cache"),
    );
    const lines = (await readFile(path, "utf8")).trim().split("\n");
    return lines.map((line) => JSON.parse(line) as unknown);
  };

  it("copies the objects that a glob names once, and reads their columns and their folders' names", async () => {
    await put("prices/day=monday/1.parquet", "('a', 1.5), ('b', NULL)");
    await put("prices/day=tuesday/1.parquet", "('a', 2.5)");
    await put("other/1.parquet", "('c', 9.0)");
    const first = [
      { shop: "a", day: "monday", price: 1.5 },
      { shop: "b", day: "monday", price: null },
      { shop: "a", day: "tuesday", price: 2.5 },
    ];
    expect(await stage("s3://history/prices/**/*.parquet")).toEqual(expect.arrayContaining(first));
    await put("prices/day=tuesday/1.parquet", "('a', 3.5)");
    const again = await stage("s3://history/prices/**/*.parquet");
    expect(again).toHaveLength(3);
    expect(again).toContainEqual({ shop: "a", day: "tuesday", price: 3.5 });
    expect(await stage("s3://history/other/1.parquet")).toEqual([{ shop: "c", day: null, price: 9 }]);
  });

  it("says what cannot be read", async () => {
    await expect(stage("s3://history/none/*.parquet")).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    await expect(stage("s3://nowhere/a.parquet")).rejects.toMatchObject({ code: "S3_UNAVAILABLE" });
  });
});
