import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { DuckDBInstance } from "@duckdb/node-api";
import avsc from "avsc";
import protobufjs from "protobufjs";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { StreamConnector } from "../src/definitions/connector.ts";
import type { FeatureViewMeta } from "../src/definitions/feature-view.ts";
import { avro, type EventFormat, json, protobuf } from "../src/definitions/format.ts";
import {
  count,
  entity,
  featureView,
  kafka,
  kinesis,
  latest,
  memory,
  pubsub,
  streamSource,
  sum,
  t,
} from "../src/definitions/index.ts";
import { Meta } from "../src/definitions/meta.ts";
import type { SourceMeta } from "../src/definitions/source.ts";
import { redisOnlineStore } from "../src/feature_store/online/redis-online-store.ts";
import { beamFiles } from "../src/pipeline/beam-files.ts";
import type { BeamJobSource } from "../src/pipeline/beam-jobs.ts";
import { beamStream } from "../src/pipeline/beam-streams.ts";
import { type BeamWorld, beamWorld } from "./beam/beam-world.ts";
import { type ProducedRow, produceRows } from "./beam/produce-rows.ts";
import { KINESIS_CREDENTIALS, KINESIS_REGION, publish, putKinesis } from "./beam/put-records.ts";
import { featuresOf } from "./beam/read-values.ts";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";
import { type KinesisServer, kinesisServer } from "./services/kinesis-server.ts";
import { type PubsubServer, pubsubServer } from "./services/pubsub-server.ts";
import { startRedisCluster } from "./services/redis-server.ts";
import { type SchemaRegistryServer, schemaRegistryServer } from "./services/schema-registry-server.ts";

/** A source of payments, however it comes, and a view of it. */
interface Spending {
  readonly source: SourceMeta;
  readonly view: FeatureViewMeta;
}

const user = entity("user", { user: t.string() });

function spendingOf(name: string, stream: StreamConnector, format: EventFormat): Spending {
  const source = streamSource(name, {
    ...{ stream, format, eventTime: "at", clock: "stream", lateness: "1m" },
    schema: { user: t.string(), cents: t.int64(), at: t.timestamp() },
  });
  const view = featureView(`${name}_spending`, {
    source,
    entity: user,
    features: { n: count().over("1h"), total: sum(source.cents).over("1h"), last: latest(source.cents) },
  });
  return { source: source[Meta], view: view[Meta] };
}

const spending = {
  avro: spendingOf("avro", kafka({ topic: "avro" }), avro({ registry: true })),
  protobuf: spendingOf("protobuf", kafka({ topic: "protobuf" }), protobuf({ registry: true })),
  events: spendingOf("events", kafka({ topic: "events" }), json({ cloudEvents: true })),
  packed: spendingOf("packed", kafka({ topic: "packed" }), json()),
  kinesis: spendingOf("kinesis", kinesis({ stream: "kinesis" }), json()),
  pubsub: spendingOf("pubsub", pubsub({ subscription: "pubsub" }), json({ cloudEvents: true })),
} as const;
const streamed: readonly Spending[] = Object.values(spending);
const filed = {
  parquet: spendingOf("parquet", memory(), json()),
  csv: spendingOf("csv", memory(), json()),
} as const;
const all: readonly Spending[] = [...streamed, ...Object.values(filed)];

const START = Date.UTC(2026, 5, 1);
const END = START + 1_000_000;
const DEADLINE_MS = 120_000;

interface Payment {
  readonly user: string;
  readonly cents: bigint;
  readonly at: number;
}
/** With more digits than a double has. */
const payments: readonly Payment[] = Array.from({ length: 60 }, (_, index) => ({
  user: `u${index % 3}`,
  cents: 9_007_199_254_740_993n + BigInt(index),
  at: START + index * 10_000,
}));

let world: BeamWorld;
let cluster: KafkaCluster;
let registry: SchemaRegistryServer;
let shards: KinesisServer;
let queue: PubsubServer;

beforeAll(async () => {
  // Google's client would look for a machine of Google's.
  process.env.METADATA_SERVER_DETECTION = "none";
  const declarations = {
    ...{ entities: all.map(({ view }) => view.entity), services: [], models: [] },
    ...{ sources: all.map(({ source }) => source), views: all.map(({ view }) => view) },
  };
  [world, cluster, registry, shards, queue] = await Promise.all([
    beamWorld(declarations, spending.avro.source, 1, { parts: ["kinesis", "parquet", "pubsub"], secure: true }),
    kafkaCluster(),
    schemaRegistryServer(),
    kinesisServer("kinesalite"),
    // No acknowledgement arrives: messages are delivered again and again.
    pubsubServer({ loseAcks: 1 }),
  ]);
});
afterAll(async () => {
  await Promise.all([world?.close(), cluster?.close(), registry?.close(), shards?.close(), queue?.close()]);
});

async function register(subject: string, schema: string, schemaType: string): Promise<number> {
  const response = await fetch(`${registry.url}/subjects/${subject}/versions`, {
    method: "POST",
    headers: { "content-type": "application/vnd.schemaregistry.v1+json" },
    body: JSON.stringify({ schema, schemaType }),
  });
  return ((await response.json()) as { id: number }).id;
}

function wire(id: number, ...body: Uint8Array[]): Uint8Array {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(id, 1);
  return Buffer.concat([head, ...body]);
}

const AVRO = {
  type: "record",
  name: "Payment",
  fields: [
    { name: "user", type: "string" },
    { name: "cents", type: "long" },
    { name: "at", type: { type: "long", logicalType: "timestamp-micros" } },
  ],
};
const PROTO = `syntax = "proto3"; import "google/protobuf/timestamp.proto";
message Other { string x = 1; }
message Payment { string user = 1; int64 cents = 2; google.protobuf.Timestamp at = 3; }`;

function jsonOf({ user, cents, at }: Payment): string {
  return `{"user":"${user}","cents":${cents},"at":${at}}`;
}

async function produce(topic: string, rows: readonly Pick<ProducedRow, "value" | "headers">[]): Promise<void> {
  const stamped = rows.map((row, index) => ({ ...row, arrival: START + index * 10_000, partition: 0 }));
  await produceRows(cluster.brokers, topic, stamped, 1);
}

/** Longs of all digits, which the library writes from their bytes. */
const exactLong = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === "bigint",
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
} as never) as unknown as avsc.Type;

async function produceAll(): Promise<void> {
  const [avroId, protoId] = [
    await register("avro", JSON.stringify(AVRO), "AVRO"),
    await register("protobuf", PROTO, "PROTOBUF"),
  ];
  const type = avsc.Type.forSchema(
    AVRO as avsc.Schema,
    {
      logicalTypes: {},
      typeHook: (schema: unknown) =>
        schema === "long" || (schema as { type?: unknown }).type === "long" ? exactLong : undefined,
    } as never,
  );
  const proto = protobufjs.parse(PROTO.replace(/import[^;]*;/, ""), { keepCase: true }).root;
  proto.addJSON(protobufjs.common.get("google/protobuf/timestamp.proto")!.nested!);
  const message = proto.lookupType("Payment");
  const unknownSchema = { value: wire(9_999, Buffer.from([1])) };
  await produce("avro", [
    ...payments.map(({ user, cents, at }) => ({
      value: wire(avroId, type.toBuffer({ user, cents, at: BigInt(at) * 1_000n + 7n })),
    })),
    unknownSchema,
    { value: "no wire format" },
  ]);
  await produce("protobuf", [
    ...payments.map(({ user, cents, at }) => {
      const times = { seconds: Math.floor(at / 1_000), nanos: (at % 1_000) * 1_000_000 + 5 };
      const row = message.fromObject({ user, cents: String(cents), at: times });
      return { value: wire(protoId, Buffer.from([2, 2]), message.encode(row).finish()) };
    }),
    unknownSchema,
  ]);
  const headers = { ce_specversion: "1.0", ce_id: "1", ce_source: "/shop", ce_type: "paid" };
  await produce("events", [
    ...payments.slice(0, 30).map((payment) => ({ value: jsonOf(payment), headers })),
    ...payments.slice(30).map((payment) => ({ value: `{"specversion":"1.0","id":"2","data":${jsonOf(payment)}}` })),
    { value: jsonOf(payments[0]!) },
  ]);
  await produce("packed", [
    ...payments.slice(0, 20).map((payment) => ({ value: gzipSync(jsonOf(payment)) })),
    ...payments.slice(20, 40).map((payment) => ({
      value: gzipSync(jsonOf(payment)),
      headers: { "content-encoding": "gzip" },
    })),
    ...payments.slice(40).map((payment) => ({ value: wire(avroId, Buffer.from(jsonOf(payment))) })),
    { value: Uint8Array.of(0x1f, 0x8b, 1, 2) },
  ]);
}

async function putAll(): Promise<void> {
  const records = payments.map((payment) => ({ key: payment.user, data: Buffer.from(jsonOf(payment)) }));
  const bad = { key: "bad", data: Buffer.from("{") };
  await putKinesis(shards.endpoint, "kinesis", 3, [...records, bad]);
  const attributes = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/shop", "ce-type": "paid" };
  await publish(queue.address, "project", "pubsub", [
    ...records.map(({ data }) => ({ data, attributes })),
    { data: bad.data, attributes },
  ]);
}

/** What each user's features are, worked out by hand. */
const expected = ["u0", "u1", "u2"].map((user) => {
  const own = payments.filter((payment) => payment.user === user);
  const total = Number(own.reduce((sum, { cents }) => sum + cents, 0n));
  return [user, [own.length, total, own.at(-1)!.cents]] as const;
});

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

it("reads Kafka, Kinesis and Pub/Sub, in each format, and writes what the embedded engine would", async () => {
  await Promise.all([produceAll(), putAll()]);
  const connections = {
    kafka: { default: { brokers: cluster.brokers } },
    kinesis: { region: KINESIS_REGION, endpoint: shards.endpoint, credentials: KINESIS_CREDENTIALS },
    pubsub: { projectId: "project", emulator: queue.address },
  };
  const jobs = streamed.map(({ source }): BeamJobSource => {
    return { source, input: beamStream(source, connections, null) };
  });
  const kept = await mkdtemp(join(tmpdir(), "millrace-beam-kept-"));
  const job = await world.streams(jobs, { schemaRegistry: { url: registry.url }, parquet: kept });
  for (const { source, view } of streamed) {
    await until(async () => {
      for (const [user, values] of expected) {
        expect([source.name, user, await featuresOf(view, world.hot, [user], END)]).toEqual([
          source.name,
          user,
          values,
        ]);
      }
    }, job.ended);
  }
  const codes = async (source: string): Promise<string[]> =>
    (await world.cold.deadLetters({ source, limit: 10 })).map((letter) => letter.code).sort();
  await until(async () => {
    expect(await codes("avro")).toEqual(["DECODE_FAILED", "SCHEMA_UNKNOWN"]);
    expect(await codes("protobuf")).toEqual(["SCHEMA_UNKNOWN"]);
    expect(await codes("events")).toEqual(["DECODE_FAILED"]);
    expect(await codes("packed")).toEqual(["DECODE_FAILED"]);
    expect(await codes("kinesis")).toEqual(["DECODE_FAILED"]);
    expect(await codes("pubsub")).toEqual(["DECODE_FAILED"]);
  }, job.ended);
  const [letter] = await world.cold.deadLetters({ source: "packed", limit: 10 });
  expect(Buffer.from(letter!.bytes).toString("hex")).toBe("1f8b0102");
  // What is gathered for a file is written within the time that it may wait, each event once.
  for (const { source } of streamed) {
    await until(async () => {
      const file = `read_parquet('${kept}/${source.name}/day=*/*.parquet')`;
      const [row] = await query(`SELECT count(*)::INT AS n, count(DISTINCT cents)::INT AS events FROM ${file}`);
      expect([source.name, row]).toEqual([source.name, { n: payments.length, events: payments.length }]);
    }, job.ended);
  }
  await until(async () => {
    const { deliveries, messages } = await queue.deliveries();
    expect(deliveries).toBeGreaterThan(messages);
  }, job.ended);
  for (const [user, values] of expected) {
    expect(await featuresOf(spending.pubsub.view, world.hot, [user], END)).toEqual(values);
  }
  const args = readFileSync(`/proc/${job.pid}/cmdline`, "utf8");
  expect(args).toContain("--job=");
  expect(args).not.toContain("p@ss");
  job.stop(null);
  await job.ended;
  await rm(kept, { recursive: true, force: true });
});

async function query(sql: string): Promise<readonly Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJson();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

it("folds Parquet and packed CSV into a cluster of Redis, and keeps events as Parquet by day", async () => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-beam-files-"));
  const redis = await startRedisCluster();
  const online = { store: "redis" as const, cluster: redis.nodes.map(({ host, port }) => `${host}:${port}`) };
  const hot = await redisOnlineStore(online);
  try {
    const half = payments.length / 2;
    await mkdir(join(folder, "in", "user=u9"), { recursive: true });
    await mkdir(join(folder, "csv"));
    const values = (list: readonly Payment[]): string =>
      list.map(({ user, cents, at }) => `('${user}', ${cents}, ${at} * 1000 + 999)`).join(", ");
    for (const [name, list] of [
      ["a", payments.slice(0, half)],
      ["b", payments.slice(half)],
    ] as const) {
      await query(
        `COPY (SELECT u AS "user", c AS cents, make_timestamp(t::BIGINT) AS "at" FROM (VALUES ${values(list)}) AS v(u, c, t)) TO '${folder}/in/${name}.parquet'`,
      );
    }
    // A column that the folder's name holds.
    await query(
      `COPY (SELECT 5 AS cents, make_timestamp(${START} * 1000) AS "at") TO '${folder}/in/user=u9/c.parquet'`,
    );
    const lines = payments.map(({ user, cents, at }) => `"${user}",${cents},${new Date(at).toISOString()}`);
    await writeFile(join(folder, "csv", "all.csv.gz"), gzipSync(["user,cents,at", ...lines, "x,,", "  "].join("\n")));
    const [parquetFiles, csvFiles] = await Promise.all([
      beamFiles(filed.parquet.source, [join(folder, "in")], folder),
      beamFiles(filed.csv.source, [join(folder, "csv", "*.gz")], folder),
    ]);
    const kept = join(folder, "kept");
    await world.fold(
      [
        { source: filed.parquet.source, ...parquetFiles },
        { source: filed.csv.source, ...csvFiles },
      ],
      { parquet: kept, online },
    );
    for (const { source, view } of Object.values(filed)) {
      for (const [user, found] of expected) {
        expect([source.name, await featuresOf(view, hot, [user], END)]).toEqual([source.name, found]);
      }
    }
    expect(await featuresOf(filed.parquet.view, hot, ["u9"], END)).toEqual([1, 5, 5n]);
    expect((await world.cold.deadLetters({ source: "csv", limit: 10 })).map((one) => one.code)).toEqual([
      "INVALID_VALUE",
    ]);
    const [row] = await query(
      `SELECT count(*)::INT AS n, count(DISTINCT _offset || _partition)::INT AS places, sum(cents::HUGEINT)::VARCHAR AS total,
         min(epoch_ms("at"))::VARCHAR AS first, bool_and("at" = _event_time) AS same, min(day)::VARCHAR AS day,
         min(typeof("at")) AS type FROM read_parquet('${kept}/csv/**/*.parquet', hive_partitioning = true)`,
    );
    const total = payments.reduce((sum, { cents }) => sum + cents, 0n);
    const day = new Date(START).toISOString().slice(0, 10);
    expect(row).toEqual({
      ...{ n: payments.length, places: payments.length, total: String(total), first: String(START), same: true, day },
      type: "TIMESTAMP WITH TIME ZONE",
    });
    await expect(beamFiles(filed.csv.source, ["gs://bucket/x.csv"], folder)).rejects.toMatchObject({
      code: "FILE_URL_UNSUPPORTED",
    });
  } finally {
    await hot.close();
    await redis.remove();
    await rm(folder, { recursive: true, force: true });
  }
});
