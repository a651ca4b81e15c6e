import { gzipSync } from "node:zlib";
import avsc from "avsc";
import fc from "fast-check";
import protobufjs from "protobufjs";
import { describe, expect, it } from "vitest";
import { avro, decodeWith, type EventFormat, json, protobuf } from "../../../src/definitions/format.ts";
import { compileFormat, type FormatDecoder } from "../../../src/ingestion/decoders/compile-format.ts";
import type { SourceColumn } from "../../../src/ingestion/decoders/row-decoder.ts";
import type { RegisteredSchema, SchemaRegistry } from "../../../src/ingestion/decoders/schema-registry.ts";
import type { DecodedPayload, RawMessage } from "../../../src/ingestion/stream-message.ts";

const column = (name: string, kind: SourceColumn["type"]["kind"], nullable = false): SourceColumn => ({
  name,
  type: { kind, nullable },
});
const COLUMNS = [
  column("id", "int64"),
  column("amount", "float64", true),
  column("country", "string", true),
  column("at", "timestamp"),
];
const AT = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

function message(value: RawMessage["value"], headers: Record<string, string> = {}): RawMessage {
  return { partition: "0", offset: 0, key: null, value, ingestedAt: AT, headers };
}
const registryOf = (...schemas: (Partial<RegisteredSchema> & { id: number; text: string })[]): SchemaRegistry => ({
  schema: async (id) => {
    const found = schemas.find((schema) => schema.id === id);
    return found === undefined ? null : { type: "AVRO", references: [], ...found };
  },
});
const compile = (
  format: EventFormat,
  registry: SchemaRegistry | null = null,
  columns: readonly SourceColumn[] = COLUMNS,
): Promise<FormatDecoder> => compileFormat({ columns, eventTime: "at", format, registry });

async function decode(format: EventFormat, ...args: Parameters<typeof message>): Promise<DecodedPayload> {
  return (await compile(format)).decode(message(...args));
}
function wire(id: number, body: Uint8Array, indexes: readonly number[] = []): Uint8Array {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(id, 1);
  return Buffer.concat([head, Buffer.from(indexes), body]);
}

describe("JSON", () => {
  const body = { id: 7, amount: 1.5, country: "BE", at: new Date(AT).toISOString() };

  it("is read by column, plain or as gzip, with all digits of integers", async () => {
    const expected = [7n, 1.5, "BE", AT];
    expect(await decode(json(), Buffer.from(JSON.stringify(body)))).toEqual(expected);
    expect(await decode(json(), gzipSync(JSON.stringify(body)))).toEqual(expected);
    const long = JSON.stringify(body).replace('"id":7', '"id":9007199254740993');
    expect(await decode(json(), gzipSync(long), { "content-encoding": "gzip" })).toEqual([
      9007199254740993n,
      1.5,
      "BE",
      AT,
    ]);
    expect(await decode(json(), wire(3, Buffer.from(JSON.stringify(body))))).toEqual(expected);
  });

  it("is read from nested fields and in the units that numbers count", async () => {
    const nested = { event: { key: { id: "12" } }, geo: { country: "FR" }, times: { at: Math.floor(AT / 1_000) } };
    const format = json({ paths: { id: "event.key.id", country: "geo.country", at: "times.at" }, units: { at: "s" } });
    expect(await decode(format, Buffer.from(JSON.stringify(nested)))).toEqual([12n, null, "FR", AT - 678]);
    for (const [unit, factor] of [
      ["us", 1_000n],
      ["ns", 1_000_000n],
    ] as const) {
      const text = `{"id":1,"at":${BigInt(AT) * factor + 999n}}`;
      expect(await decode(json({ units: { at: unit } }), Buffer.from(text))).toEqual([1n, null, null, AT]);
    }
  });

  it("is read from CloudEvents, structured and binary, with their attributes", async () => {
    const columns = [...COLUMNS, column("event_id", "string")];
    const format = json({ cloudEvents: true, paths: { at: "cloudevents.time", event_id: "cloudevents.id" } });
    const decoder = await compile(format, null, columns);
    const { at: time, ...data } = body;
    const expected = [7n, 1.5, "BE", AT, "e1"];
    const attributes = { specversion: "1.0", id: "e1", source: "/shop", type: "paid", time };
    const structured = Buffer.from(JSON.stringify({ ...attributes, data }));
    expect(decoder.decode(message(structured, { "content-type": "application/cloudevents+json" }))).toEqual(expected);
    const encoded = { ...attributes, data_base64: Buffer.from(JSON.stringify(data)).toString("base64") };
    expect(decoder.decode(message(Buffer.from(JSON.stringify(encoded))))).toEqual(expected);
    for (const prefix of ["ce_", "ce-"]) {
      const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [prefix + name, value]));
      expect(decoder.decode(message(Buffer.from(JSON.stringify(data)), headers))).toEqual(expected);
    }
    expect(decoder.decode(message(Buffer.from("{}")))).toMatchObject({ code: "DECODE_FAILED", reason: /specversion/ });
  });

  it("that is none, or unpacks to too much, is a failure with a reason", async () => {
    expect(await decode(json(), Buffer.from("{"))).toMatchObject({ code: "DECODE_FAILED" });
    expect(await decode(json(), Buffer.from('{"code":"x","reason":"y"}'))).toMatchObject({ code: "INVALID_VALUE" });
    expect(await decode(json(), Buffer.from([0x1f, 0x8b, 1, 2]))).toMatchObject({ code: "DECODE_FAILED" });
    const bomb = gzipSync(Buffer.alloc(65 * 2 ** 20, 0x20));
    expect(await decode(json(), bomb)).toMatchObject({ code: "DECODE_FAILED" });
  });
});

const WRITTEN = {
  type: "record",
  name: "Payment",
  fields: [
    { name: "id", type: "long" },
    { name: "amount", type: ["null", "double"] },
    { name: "country", type: { type: "enum", name: "Country", symbols: ["BE", "FR"] } },
    { name: "at", type: { type: "long", logicalType: "timestamp-micros" } },
  ],
} as const;
/** What another writer's library makes of it: plain longs. */
const plain = avsc.Type.forSchema(JSON.parse(JSON.stringify(WRITTEN)) as avsc.Schema, { wrapUnions: false } as never);
const record = (id: number, at = AT): object => ({ id, amount: 2.5, country: "FR", at: at * 1_000 + 7 });

describe("Avro", () => {
  it("is read with one schema: longs with all digits, times in the schema's unit", async () => {
    const decoder = await compile(avro({ schema: WRITTEN }));
    expect(decoder.decode(message(plain.toBuffer(record(5))))).toEqual([5n, 2.5, "FR", AT]);
    const digits = Buffer.from(plain.toBuffer(record(5)));
    expect(decoder.decode(message(digits.subarray(0, 3)))).toMatchObject({ code: "DECODE_FAILED" });
  });

  it("takes no memory for a list whose damaged length is longer than the message", async () => {
    const fields = [...WRITTEN.fields, { name: "tags", type: { type: "array", items: "null" } }];
    const decoder = await compile(avro({ schema: { ...WRITTEN, fields } }));
    const bytes = plain.toBuffer(record(5));
    // A count of 2^47, which no block's end follows.
    const endless = Buffer.concat([bytes, Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00])]);
    expect(decoder.decode(message(Buffer.concat([bytes, Buffer.from([0x04, 0x00])])))).toEqual([5n, 2.5, "FR", AT]);
    expect(decoder.decode(message(endless))).toMatchObject({ code: "DECODE_FAILED" });
  });

  it("is read by the registry's ids, in any mixture of versions, and into the reader's schema", async () => {
    const older = { ...WRITTEN, fields: WRITTEN.fields.filter((field) => field.name !== "amount") };
    const olderType = avsc.Type.forSchema(JSON.parse(JSON.stringify(older)) as avsc.Schema);
    const registry = registryOf({ id: 1, text: JSON.stringify(older) }, { id: 70_000, text: JSON.stringify(WRITTEN) });
    const reader = {
      ...WRITTEN,
      fields: WRITTEN.fields.map((field) =>
        field.name === "amount" ? { ...field, type: "double", default: 9.5 } : field,
      ),
    };
    const messages = [
      message(wire(1, olderType.toBuffer({ id: 1, country: "BE", at: AT * 1_000 }))),
      message(wire(70_000, plain.toBuffer(record(2)))),
      message(wire(99, plain.toBuffer(record(3)))),
      message(plain.toBuffer(record(4))),
    ];
    const asWritten = await compile(avro({ registry: true }), registry);
    expect(asWritten.decode(messages[0]!)).toMatchObject({ code: "SCHEMA_UNKNOWN" });
    await asWritten.prepare(messages);
    expect(messages.map(asWritten.decode)).toEqual([
      [1n, null, "BE", AT],
      [2n, 2.5, "FR", AT],
      expect.objectContaining({ code: "SCHEMA_UNKNOWN", reason: expect.stringContaining("99") }),
      expect.objectContaining({ code: "DECODE_FAILED", reason: expect.stringContaining("schema's id") }),
    ]);
    const resolved = await compile(
      avro({ registry: true, schema: reader }),
      registryOf({ id: 1, text: JSON.stringify(older) }),
    );
    await resolved.prepare(messages.slice(0, 1));
    expect(resolved.decode(messages[0]!)).toEqual([1n, 9.5, "BE", AT]);
  });

  it("finds what a schema refers to, decimals and nanoseconds", async () => {
    const money = {
      type: "record",
      name: "shop.Money",
      fields: [{ name: "value", type: { type: "bytes", logicalType: "decimal", precision: 9, scale: 2 } }],
    };
    const event = {
      type: "record",
      name: "shop.Paid",
      fields: [
        { name: "id", type: "long" },
        { name: "total", type: "shop.Money" },
        { name: "at", type: { type: "long", logicalType: "timestamp-nanos" } },
      ],
    };
    const registry = registryOf({
      id: 4,
      text: JSON.stringify(event),
      references: [{ name: "shop.Money", text: JSON.stringify(money) }],
    });
    const decoder = await compile(avro({ registry: true, paths: { amount: "total.value" } }), registry);
    // id −3 (zigzag 5), total: two bytes of −1234, at: nanoseconds as a zigzag varint.
    const nanos = BigInt(AT) * 1_000_000n + 999_999n;
    const varint: number[] = [];
    for (let left = nanos * 2n; ; left >>= 7n) {
      if (left < 128n) {
        varint.push(Number(left));
        break;
      }
      varint.push(Number(left & 127n) | 128);
    }
    const bytes = wire(4, Buffer.from([5, 4, 0xfb, 0x2e, ...varint]));
    await decoder.prepare([message(bytes)]);
    expect(decoder.decode(message(bytes))).toEqual([-3n, -12.34, null, AT]);
  });

  it("asks again for a schema that was not there, and passes the registry's trouble on", async () => {
    let now = 0;
    let answer: RegisteredSchema | null | Error = null;
    const registry: SchemaRegistry = {
      schema: async () => {
        if (answer instanceof Error) throw answer;
        return answer;
      },
    };
    const decoder = await compileFormat({
      columns: COLUMNS,
      eventTime: "at",
      format: avro({ registry: true }),
      registry,
      clock: () => now,
    });
    const one = message(wire(8, plain.toBuffer(record(1))));
    await decoder.prepare([one]);
    expect(decoder.decode(one)).toMatchObject({ code: "SCHEMA_UNKNOWN" });
    answer = { id: 8, type: "AVRO", text: JSON.stringify(WRITTEN), references: [] };
    await decoder.prepare([one]);
    expect(decoder.decode(one)).toMatchObject({ code: "SCHEMA_UNKNOWN" });
    now = 10_000;
    await decoder.prepare([one]);
    expect(decoder.decode(one)).toEqual([1n, 2.5, "FR", AT]);
    answer = new TypeError("down");
    await expect(decoder.prepare([message(wire(9, new Uint8Array(0)))])).rejects.toThrow("down");
  });

  it("never throws on any bytes", async () => {
    const decoder = await compile(avro({ schema: WRITTEN }));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const decoded = decoder.decode(message(bytes));
        expect(Array.isArray(decoded) || typeof decoded === "object").toBe(true);
      }),
    );
  });
});

const PROTO = `syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message Other { string note = 1; }
message Payment {
  enum Country { UNKNOWN = 0; BE = 1; FR = 2; }
  message Inner { int64 id = 1; google.protobuf.DoubleValue amount = 2; Country country = 3; google.protobuf.Timestamp at = 4; }
  int64 id = 1;
  google.protobuf.DoubleValue amount = 2;
  Country country = 3;
  google.protobuf.Timestamp at = 4;
}`;

describe("Protobuf", () => {
  const root = new protobufjs.Root();
  for (const common of ["timestamp", "wrappers"]) {
    root.addJSON(protobufjs.common.get(`google/protobuf/${common}.proto`)!.nested!);
  }
  protobufjs.parse(PROTO, root, { keepCase: true });
  const encode = (name: string, fields: object): Uint8Array => {
    const type = root.lookupType(name);
    return type.encode(type.fromObject(fields)).finish();
  };
  const fields = {
    id: "9007199254740993",
    amount: { value: 2.5 },
    country: 2,
    at: { seconds: Math.floor(AT / 1_000), nanos: 678_900_000 },
  };
  const expected = [9007199254740993n, 2.5, "FR", AT];

  it("is read with a schema and a message's name", async () => {
    const decoder = await compile(protobuf({ schema: PROTO, message: "shop.Payment" }));
    expect(decoder.decode(message(encode("shop.Payment", fields)))).toEqual(expected);
    expect(decoder.decode(message(encode("shop.Payment", { at: fields.at })))).toEqual([0n, null, "UNKNOWN", AT]);
    expect(decoder.decode(message(new Uint8Array([0xff])))).toMatchObject({ code: "DECODE_FAILED" });
    await expect(compile(protobuf({ schema: PROTO, message: "shop.Nothing" }))).rejects.toMatchObject({
      code: "SCHEMA_INVALID",
    });
    await expect(compile(protobuf({ schema: "message {", message: "x" }))).rejects.toMatchObject({
      code: "SCHEMA_INVALID",
    });
  });

  it("is read by the registry's id and the message's place in the schema", async () => {
    const decoder = await compile(protobuf({ registry: true }), registryOf({ id: 6, type: "PROTOBUF", text: PROTO }));
    const second = message(wire(6, encode("shop.Payment", fields), [2, 2]));
    const inner = message(wire(6, encode("shop.Payment.Inner", fields), [4, 2, 0]));
    const first = message(wire(6, encode("shop.Other", { note: "x" }), [0]));
    const none = message(wire(6, new Uint8Array(0), [2, 18]));
    await decoder.prepare([second]);
    expect([second, inner].map(decoder.decode)).toEqual([expected, expected]);
    expect(decoder.decode(first)).toMatchObject({ code: "INVALID_VALUE" });
    expect(decoder.decode(none)).toMatchObject({
      code: "DECODE_FAILED",
      reason: expect.stringContaining("no message 9"),
    });
  });
});

describe("a decoder of the user's own", () => {
  it("gives the fields by name; its throw is the message's failure", async () => {
    const format = decodeWith(({ value, headers }) => {
      const [id, amount] = Buffer.from(value).toString().split("|");
      if (amount === undefined) throw new TypeError("no bar");
      return { id: Number(id), amount: Number(amount), country: headers.country, at: AT };
    });
    expect(await decode(format, Buffer.from("4|1.25"), { country: "NL" })).toEqual([4n, 1.25, "NL", AT]);
    expect(await decode(format, Buffer.from("4"))).toMatchObject({
      code: "DECODE_FAILED",
      reason: expect.stringContaining("no bar"),
    });
  });
});

it("refuses columns that the schema does not have, and a registry that is not configured", async () => {
  await expect(compile(json({ paths: { nope: "a" } }))).rejects.toMatchObject({ code: "COLUMN_UNKNOWN" });
  await expect(compile(avro({ registry: true }))).rejects.toMatchObject({ code: "SCHEMA_REGISTRY_MISSING" });
});

it("takes schemas in which a time has a default", async () => {
  const at = { name: "at", type: { type: "long", logicalType: "timestamp-millis" }, default: AT };
  const id = { name: "id", type: "long" };
  const written = { type: "record", name: "Row", fields: [id, at] };
  const schema = JSON.stringify(written);
  const bytes = avsc.Type.forSchema(written as avsc.Schema, { logicalTypes: {} }).toBuffer({ id: 3, at: AT + 1 });
  expect(await decode(avro({ schema }), bytes)).toEqual([3n, null, null, AT + 1]);
  const old = registryOf({ id: 1, text: JSON.stringify({ ...written, fields: [id] }) });
  const decoder = await compile(avro({ schema, registry: true }), old);
  const older = message(wire(1, Uint8Array.of(6)));
  await decoder.prepare([older]);
  expect(decoder.decode(older)).toEqual([3n, null, null, AT]);
});
