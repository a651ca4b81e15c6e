import { createHash } from "node:crypto";
import { globSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import {
  DescribeStreamCommand,
  KinesisClient,
  MergeShardsCommand,
  PutRecordsCommand,
  SplitShardCommand,
} from "@aws-sdk/client-kinesis";
import { DuckDBInstance } from "@duckdb/node-api";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { afterAll, beforeAll, expect, it } from "vitest";
import { count, countDistinct, entity, featureView, kinesis, streamSource, sum, t } from "../src/definitions/index.ts";
import { Meta } from "../src/definitions/meta.ts";
import { deaggregate } from "../src/ingestion/sources/kinesis-aggregate.ts";
import { beamStream } from "../src/pipeline/beam-streams.ts";
import { type BeamWorld, beamWorld } from "./beam/beam-world.ts";
import { KINESIS_CREDENTIALS, KINESIS_REGION, putKinesis } from "./beam/put-records.ts";
import { featuresOf } from "./beam/read-values.ts";
import { type KinesisServer, kinesisServer } from "./services/kinesis-server.ts";

const user = entity("user", { user: t.string() });
const source = streamSource("clicks", {
  ...{ stream: kinesis({ stream: "clicks" }), eventTime: "at", clock: "stream", lateness: "1m" },
  schema: { user: t.string(), number: t.int32(), at: t.timestamp() },
});
const view = featureView("clicking", {
  source,
  entity: user,
  features: {
    n: count().over("1h"),
    numbers: countDistinct(source.number).over("1h"),
    total: sum(source.number).over("1h"),
  },
});
const START = Date.UTC(2026, 5, 1);
const END = START + 3_000_000;
const DEADLINE_MS = 90_000;
const USERS = 8;

let world: BeamWorld;
let server: KinesisServer;
let client: KinesisClient;
let kept = "";

beforeAll(async () => {
  kept = await mkdtemp(join(tmpdir(), "millrace-beam-lake-"));
  const declarations = {
    ...{ entities: [view[Meta].entity], services: [], models: [] },
    ...{ sources: [source[Meta]], views: [view[Meta]] },
  };
  [world, server] = await Promise.all([
    beamWorld(declarations, source[Meta], 1, { parts: ["kinesis", "parquet", "pubsub"] }),
    kinesisServer("kinesalite"),
  ]);
  client = new KinesisClient({
    ...{ region: KINESIS_REGION, endpoint: server.endpoint, credentials: KINESIS_CREDENTIALS },
    requestHandler: new NodeHttpHandler(),
  });
});
afterAll(async () => {
  client?.destroy();
  await Promise.all([world?.close(), server?.close()]);
  await rm(kept, { recursive: true, force: true });
});

/** A record of each number from `from` to before `to`; users take turns. */
function recordsOf(from: number, to: number): { key: string; data: Uint8Array }[] {
  return Array.from({ length: to - from }, (_, i) => {
    const number = from + i;
    const name = `u${number % USERS}`;
    return { key: name, data: Buffer.from(JSON.stringify({ user: name, number, at: START + number * 1_000 })) };
  });
}

async function put(records: readonly { readonly key: string; readonly data: Uint8Array }[]): Promise<void> {
  const { FailedRecordCount } = await client.send(
    new PutRecordsCommand({
      StreamName: "clicks",
      Records: records.map(({ key, data }) => ({ Data: data, PartitionKey: key })),
    }),
  );
  expect(FailedRecordCount).toBe(0);
}

/** One record with several inside, as the Kinesis Producer Library packs them. */
function aggregated(records: readonly { readonly key: string; readonly data: Uint8Array }[]): {
  key: string;
  data: Uint8Array;
} {
  const field = (number: number, bytes: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from([(number << 3) | 2]), varint(bytes.length), bytes]);
  const keys = [...new Set(records.map(({ key }) => key))];
  const body = Buffer.concat([
    ...keys.map((key) => field(1, Buffer.from(key))),
    ...records.map(({ key, data }) =>
      field(3, Buffer.concat([Buffer.from([8]), varint(keys.indexOf(key)), field(3, data)])),
    ),
  ]);
  const digest = createHash("md5").update(body).digest();
  return { key: "packed", data: Buffer.concat([Buffer.from([0xf3, 0x89, 0x9a, 0xc2]), body, digest]) };
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}

interface Shard {
  readonly id: string;
  readonly from: bigint;
  readonly to: bigint;
}

/** The open shards, by their keys. */
async function openShards(): Promise<Shard[]> {
  for (const until = Date.now() + DEADLINE_MS; ; await pause(20)) {
    const { StreamDescription: stream } = await client.send(new DescribeStreamCommand({ StreamName: "clicks" }));
    if (stream?.StreamStatus !== "ACTIVE" && Date.now() < until) continue;
    return stream!
      .Shards!.filter(({ SequenceNumberRange: range }) => range!.EndingSequenceNumber === undefined)
      .map(({ ShardId, HashKeyRange: { StartingHashKey, EndingHashKey } = {} }) => ({
        ...{ id: ShardId!, from: BigInt(StartingHashKey!), to: BigInt(EndingHashKey!) },
      }))
      .sort((a, b) => (a.from < b.from ? -1 : 1));
  }
}

async function split(shard: Shard): Promise<void> {
  const middle = String((shard.from + shard.to) / 2n);
  await client.send(
    new SplitShardCommand({ StreamName: "clicks", ShardToSplit: shard.id, NewStartingHashKey: middle }),
  );
}

async function merge(a: Shard, b: Shard): Promise<void> {
  await client.send(new MergeShardsCommand({ StreamName: "clicks", ShardToMerge: a.id, AdjacentShardToMerge: b.id }));
}

/** Every user's features after the first `many` numbers. */
async function expectNumbers(many: number): Promise<void> {
  const numbers = Array.from({ length: many }, (_, number) => number);
  const expected = Array.from({ length: USERS }, (_, own) => {
    const mine = numbers.filter((number) => number % USERS === own);
    return [mine.length, mine.length, mine.reduce((a, b) => a + b, 0)];
  });
  const found = await Promise.all(expected.map((_, own) => featuresOf(view[Meta], world.hot, [`u${own}`], END)));
  expect(found).toEqual(expected);
}

async function until(check: () => Promise<void>, ended: Promise<unknown>): Promise<void> {
  for (const deadline = Date.now() + DEADLINE_MS; ; ) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await Promise.race([pause(250), ended.then(() => Promise.reject(error))]);
    }
  }
}

function newestCheckpoint(): { url: string; time: number } | null {
  const folder = new URL(world.state).pathname;
  const [newest] = globSync("*/chk-*/_metadata", { cwd: folder })
    .flatMap((file) => {
      const found = statSync(join(folder, file), { throwIfNoEntry: false });
      return found === undefined ? [] : [{ url: pathToFileURL(dirname(join(folder, file))).href, time: found.mtimeMs }];
    })
    .sort((a, b) => b.time - a.time);
  return newest ?? null;
}

it("reads on where shards are split and merged, also while no job runs, and takes packed records apart: each once", async () => {
  expect(deaggregate(aggregated(recordsOf(0, 3)).data, "")).toHaveLength(3);
  await putKinesis(server.endpoint, "clicks", 2, recordsOf(0, 40));
  const connections = {
    kinesis: { region: KINESIS_REGION, endpoint: server.endpoint, credentials: KINESIS_CREDENTIALS },
  };
  const inputs = [{ source: source[Meta], input: beamStream(source[Meta], connections, null) }];
  const job = await world.streams(inputs, { parquet: kept });
  await until(() => expectNumbers(40), job.ended);

  const [first] = await openShards();
  await split(first!);
  expect(await openShards()).toHaveLength(3);
  await put([...recordsOf(40, 70), aggregated(recordsOf(70, 90))]);
  await until(() => expectNumbers(90), job.ended);
  // What comes behind a checkpoint comes again.
  const read = Date.now();
  await until(async () => expect(newestCheckpoint()!.time).toBeGreaterThan(read), job.ended);
  await put(recordsOf(90, 100));
  await until(() => expectNumbers(100), job.ended);
  job.kill("SIGKILL");
  await job.ended.catch(() => {});

  // Two that were one before, and each of them again.
  const [left, right] = await openShards();
  await merge(left!, right!);
  await put(recordsOf(100, 120));
  const [merged, other] = await openShards();
  await split(other!);
  expect(await openShards()).toHaveLength(3);
  await put([aggregated(recordsOf(120, 140)), ...recordsOf(140, 150)]);
  expect(merged!.id).not.toBe(left!.id);
  const resumed = await world.streams(inputs, { parquet: kept, savepoint: newestCheckpoint()!.url });
  await until(() => expectNumbers(150), resumed.ended);
  // It went on, and did not begin anew.
  expect(resumed.progress()!.counters.clicks!.events).toBeLessThan(100);
  await until(async () => expect(await inLake()).toEqual({ n: 150, numbers: 150 }), resumed.ended);
  resumed.stop(null);
  await resumed.ended;
  expect(await world.cold.deadLetters({ source: "clicks", limit: 10 })).toEqual([]);
});

/** Rows and numbers that were kept as Parquet. */
async function inLake(): Promise<unknown> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    const sql = `SELECT count(*)::INT AS n, count(DISTINCT number)::INT AS numbers FROM read_parquet('${kept}/clicks/day=*/*.parquet')`;
    return (await connection.runAndReadAll(sql)).getRowObjectsJson()[0];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
