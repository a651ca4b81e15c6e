import avsc from "avsc";
import protobufjs from "protobufjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { avro, protobuf } from "../src/definitions/format.ts";
import { compileFormat } from "../src/ingestion/decoders/compile-format.ts";
import { type SchemaRegistry, schemaRegistry } from "../src/ingestion/decoders/schema-registry.ts";
import type { RawMessage } from "../src/ingestion/stream-message.ts";
import { type SchemaRegistryServer, schemaRegistryServer } from "./services/schema-registry-server.ts";

let server: SchemaRegistryServer;
let registry: SchemaRegistry;

beforeAll(async () => {
  server = await schemaRegistryServer();
  registry = schemaRegistry({ url: `${server.url}/` });
});
afterAll(() => server?.close());

async function register(subject: string, schema: string, more: object = {}): Promise<number> {
  const response = await fetch(`${server.url}/subjects/${subject}/versions`, {
    method: "POST",
    headers: { "content-type": "application/vnd.schemaregistry.v1+json" },
    body: JSON.stringify({ schema, ...more }),
  });
  expect(response.status).toBe(200);
  return ((await response.json()) as { id: number }).id;
}

const message = (value: Uint8Array): RawMessage => ({
  partition: "0",
  offset: 0,
  key: null,
  value,
  ingestedAt: 0,
  headers: {},
});
function wire(id: number, body: Uint8Array, indexes: readonly number[] = []): RawMessage {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(id, 1);
  return message(Buffer.concat([head, Buffer.from(indexes), body]));
}

const AT = Date.UTC(2026, 4, 5);
const columns = [
  { name: "id", type: { kind: "int64", nullable: false } },
  { name: "amount", type: { kind: "float64", nullable: true } },
  { name: "at", type: { kind: "timestamp", nullable: false } },
] as const;

describe("a real schema registry", () => {
  it("gives Avro schemas by id, through their evolution and with what they refer to", async () => {
    const base = [
      { name: "id", type: "long" },
      { name: "at", type: { type: "long", logicalType: "timestamp-millis" } },
    ];
    const first = { type: "record", name: "Paid", namespace: "shop", fields: base };
    const second = { ...first, fields: [...base, { name: "amount", type: "double", default: 0 }] };
    const money = { type: "record", name: "Money", namespace: "shop", fields: [{ name: "value", type: "double" }] };
    const third = { ...first, name: "PaidIn", fields: [...base, { name: "total", type: "shop.Money" }] };
    const ids = [await register("paid", JSON.stringify(first)), await register("paid", JSON.stringify(second))];
    await register("money", JSON.stringify(money));
    ids.push(
      await register("paid-in", JSON.stringify(third), {
        references: [{ name: "shop.Money", subject: "money", version: 1 }],
      }),
    );
    const type = (schema: object): avsc.Type => avsc.Type.forSchema(schema as avsc.Schema);
    const decoder = await compileFormat({ columns, eventTime: "at", format: avro({ registry: true }), registry });
    const messages = [
      wire(ids[0]!, type(first).toBuffer({ id: 1, at: AT })),
      wire(ids[1]!, type(second).toBuffer({ id: 2, at: AT, amount: 2.5 })),
    ];
    await decoder.prepare(messages);
    expect(messages.map(decoder.decode)).toEqual([
      [1n, null, AT],
      [2n, 2.5, AT],
    ]);
    const nested = await compileFormat({
      columns,
      eventTime: "at",
      format: avro({ registry: true, paths: { amount: "total.value" } }),
      registry,
    });
    const whole = avsc.Type.forSchema({ ...third, fields: [...base, { name: "total", type: money }] } as avsc.Schema);
    const third_ = wire(ids[2]!, whole.toBuffer({ id: 3, at: AT, total: { value: 7.25 } }));
    await nested.prepare([third_]);
    expect(nested.decode(third_)).toEqual([3n, 7.25, AT]);
  });

  it("gives Protobuf schemas by id, with their imports", async () => {
    const money = 'syntax = "proto3"; package shop; message Money { double value = 1; }';
    const paid =
      'syntax = "proto3"; package shop; import "money.proto"; import "google/protobuf/timestamp.proto"; ' +
      "message Paid { int64 id = 1; Money total = 2; google.protobuf.Timestamp at = 3; }";
    await register("money-proto", money, { schemaType: "PROTOBUF" });
    const id = await register("paid-proto", paid, {
      schemaType: "PROTOBUF",
      references: [{ name: "money.proto", subject: "money-proto", version: 1 }],
    });
    const root = new protobufjs.Root();
    root.addJSON(protobufjs.common.get("google/protobuf/timestamp.proto")!.nested!);
    protobufjs.parse(money, root, { keepCase: true });
    protobufjs.parse(paid, root, { keepCase: true });
    const type = root.lookupType("shop.Paid");
    const body = type.encode(type.fromObject({ id: 4, total: { value: 1.5 }, at: { seconds: AT / 1_000 } })).finish();
    const decoder = await compileFormat({
      columns,
      eventTime: "at",
      format: protobuf({ registry: true, paths: { amount: "total.value" } }),
      registry,
    });
    const sent = wire(id, body, [0]);
    await decoder.prepare([sent]);
    expect(decoder.decode(sent)).toEqual([4n, 1.5, AT]);
  });

  it("does not have every id, and may be away", async () => {
    expect(await registry.schema(999_999)).toBeNull();
    const away = schemaRegistry({ url: "http://127.0.0.1:1", username: "u", password: "secret-word" });
    const error = await away.schema(1).catch((found: unknown) => found as Error);
    expect(error).toMatchObject({ code: "SCHEMA_REGISTRY_UNAVAILABLE", kind: "operational" });
    expect(String(error)).not.toContain("secret-word");
  });
});
