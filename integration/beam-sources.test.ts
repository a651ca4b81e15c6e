import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import avsc from "avsc";
import protobufjs from "protobufjs";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { StreamConnector } from "../src/definitions/connector.ts";
import type { FeatureViewMeta } from "../src/definitions/feature-view.ts";
import { avro, type EventFormat, json, protobuf } from "../src/definitions/format.ts";
import { count, entity, featureView, kafka, latest, streamSource, sum, t } from "../src/definitions/index.ts";
import { Meta } from "../src/definitions/meta.ts";
import type { SourceMeta } from "../src/definitions/source.ts";
import { type BeamJobSource, beamKafka, beamStream } from "../src/pipeline/beam-jobs.ts";
import { type BeamWorld, beamWorld } from "./beam/beam-world.ts";
import { type ProducedRow, produceRows } from "./beam/produce-rows.ts";
import { featuresOf } from "./beam/read-values.ts";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";
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
} as const;
const all: readonly Spending[] = Object.values(spending);

const START = Date.UTC(2026, 5, 1);
const END = START + 1_000_000;
const DEADLINE_MS = 60_000;

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

beforeAll(async () => {
  const declarations = {
    ...{ entities: all.map(({ view }) => view.entity), services: [], models: [] },
    ...{ sources: all.map(({ source }) => source), views: all.map(({ view }) => view) },
  };
  [world, cluster, registry] = await Promise.all([
    beamWorld(declarations, spending.avro.source),
    kafkaCluster(),
    schemaRegistryServer(),
  ]);
});
afterAll(async () => {
  await Promise.all([world?.close(), cluster?.close(), registry?.close()]);
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

it("decodes Avro, Protobuf, CloudEvents and packed JSON in the workers as the embedded engine does", async () => {
  await produceAll();
  const clusters = { default: { brokers: cluster.brokers } };
  const jobs = all.map(({ source }): BeamJobSource => {
    return { source, input: { ...beamStream(source), kafka: beamKafka(source, clusters, null) } };
  });
  const job = await world.streams(jobs, { schemaRegistry: { url: registry.url } });
  for (const { source, view } of all) {
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
  }, job.ended);
  const [letter] = await world.cold.deadLetters({ source: "packed", limit: 10 });
  expect(Buffer.from(letter!.bytes).toString("hex")).toBe("1f8b0102");
  job.stop(null);
  await job.ended;
});
