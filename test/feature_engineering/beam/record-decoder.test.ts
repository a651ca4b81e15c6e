import avsc from "avsc";
import fc from "fast-check";
import protobufjs from "protobufjs";
import { describe, expect, it } from "vitest";
import { avro, type EventFormat, json, protobuf } from "../../../src/definitions/format.ts";
import { indexedProtobuf, protobufMessage } from "../../../src/feature_engineering/beam/script/protobuf-message.ts";
import { createRecordDecoder } from "../../../src/feature_engineering/beam/script/record-decoder.ts";
import { base64Bytes, utf8Text } from "../../../src/feature_engineering/beam/script/utf8-text.ts";
import { avroRecord } from "../../../src/ingestion/decoders/avro-record.ts";
import { compileFormat } from "../../../src/ingestion/decoders/compile-format.ts";
import { protobufReaders } from "../../../src/ingestion/decoders/protobuf-reader.ts";
import type { SourceColumn } from "../../../src/ingestion/decoders/row-decoder.ts";
import type { RegisteredSchema } from "../../../src/ingestion/decoders/schema-registry.ts";
import { avscReaders } from "../../ingestion/decoders/avsc-reader.ts";

/** What a reader gives, or that it throws. Values of records only: their prototypes differ. */
function outcome(read: () => unknown): unknown {
  try {
    return plain(read());
  } catch {
    return "refused";
  }
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString("hex")}`;
  if (value instanceof Date) return `time ${value.getTime()}`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

/** Bytes as they are, and cut or changed somewhere. */
const damage = fc.option(fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }), cut: fc.boolean() }), {
  freq: 2,
});
function damaged(bytes: Buffer, how: { at: number; byte: number; cut: boolean } | null): Buffer {
  if (how === null || bytes.length === 0) return bytes;
  const at = how.at % bytes.length;
  if (how.cut) return bytes.subarray(0, at);
  const copy = Buffer.from(bytes);
  copy[at] = how.byte;
  return copy;
}

const { schema: avroSchema } = fc.letrec<{ schema: unknown }>((tie) => ({
  schema: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom("null", "boolean", "int", "long", "float", "double", "bytes", "string"),
    fc.constantFrom(
      { type: "long", logicalType: "timestamp-millis" },
      { type: "long", logicalType: "timestamp-micros" },
      { type: "long", logicalType: "time-micros" },
      { type: "int", logicalType: "date" },
      { type: "bytes", logicalType: "decimal", precision: 9, scale: 2 },
      { type: "string", logicalType: "uuid" },
    ),
    fc.record({ type: fc.constant("array"), items: tie("schema") }),
    fc.record({ type: fc.constant("map"), values: tie("schema") }),
    tie("schema").map((other) => ["null", ...(other === "null" || Array.isArray(other) ? [] : [other])]),
    fc.constantFrom(["int", "string"], ["int", "double"], ["null", "long", "string"], ["long", "bytes", "int"]),
  ),
}));

const avroRecordSchema = fc.array(fc.tuple(avroSchema, fc.constantFrom("f", "e", "r")), { minLength: 1, maxLength: 5 });

function recordOf(parts: readonly (readonly [unknown, string])[]): object {
  const fields = parts.map(([type, kind], index) => {
    if (kind === "e") return { name: `f${index}`, type: { type: "enum", name: `E${index}`, symbols: ["A", "B", "C"] } };
    if (kind === "f") return { name: `f${index}`, type };
    const inner = {
      type: "record",
      name: `R${index}`,
      fields: [
        { name: "x", type },
        { name: "next", type: ["null", `R${index}`] },
      ],
    };
    return { name: `f${index}`, type: inner };
  });
  return { type: "record", name: "Row", namespace: "a.b", fields };
}

describe("Avro in the workers", () => {
  it("reads what avsc reads, and refuses what it refuses", async () => {
    const readers = [true, false].map(async (exactLongs) => ({
      exactLongs,
      own: await avscReaders({ readerSchema: null, exactLongs }),
    }));
    const both = await Promise.all(readers);
    fc.assert(
      fc.property(avroRecordSchema, damage, (parts, how) => {
        const schema = JSON.stringify(recordOf(parts));
        const type = avsc.Type.forSchema(JSON.parse(schema) as avsc.Schema, { logicalTypes: {} });
        // A list's damaged count would keep the other reader busy until the memory is full.
        const hasLists = schema.includes('"items"') || schema.includes('"values"');
        const bytes = damaged(type.toBuffer(sampleOf(type)), hasLists ? null : how);
        for (const { exactLongs, own } of both) {
          const expected = own.reader({ text: schema, references: [] });
          const found = avroRecord(schema, { readerSchema: null, exactLongs, utf8Text });
          expect(outcome(() => found(bytes, 0))).toEqual(outcome(() => expected(bytes)));
        }
      }),
      { numRuns: 300 },
    );
  });

  it("refuses a list that is longer than its bytes can be", () => {
    const schema = JSON.stringify(recordOf([[{ type: "array", items: "null" }, "f"]]));
    const read = avroRecord(schema, { readerSchema: null, exactLongs: false, utf8Text });
    expect(read(Uint8Array.of(6, 0), 0)).toEqual({ f0: [null, null, null] });
    expect(() => read(Uint8Array.of(0xfe, 0xff, 0xff, 0xff, 0xff, 0x7f, 0), 0)).toThrow(RangeError);
  });

  it("resolves a writer's schema to the reader's as ingestion does", async () => {
    const fields = (changes: object[]): string =>
      JSON.stringify({ type: "record", name: "Row", aliases: ["Old"], fields: changes });
    const written = [
      fields([
        { name: "id", type: "int" },
        { name: "n", type: "long" },
        { name: "x", type: "float" },
        { name: "s", type: "bytes" },
        { name: "e", type: { type: "enum", name: "E", symbols: ["A", "B", "Z"] } },
        { name: "at", type: { type: "long", logicalType: "timestamp-micros" } },
        { name: "gone", type: { type: "array", items: "string" } },
        { name: "u", type: ["null", "int"] },
      ]),
      fields([{ name: "u", type: ["int", "string"] }]).replace('"Row"', '"Old"'),
      fields([{ name: "id", type: "string" }]),
    ];
    const wanted = [
      fields([
        { name: "id", type: "long", default: 7 },
        { name: "number", aliases: ["n"], type: "double", default: 1.5 },
        { name: "x", type: "double", default: 0 },
        { name: "s", type: "string", default: "none" },
        { name: "e", type: { type: "enum", name: "E", symbols: ["A", "B"], default: "A" }, default: "B" },
        { name: "at", type: { type: "long", logicalType: "timestamp-millis" }, default: 5 },
        { name: "u", type: ["null", "long", "string"], default: null },
        { name: "added", type: { type: "map", values: ["string", "null"] }, default: { a: "b" } },
      ]),
      fields([{ name: "u", type: ["string", "double"], default: "d" }]),
      fields([{ name: "id", type: ["null", "bytes"], default: null }]),
    ];
    for (const exactLongs of [true, false]) {
      for (const readerSchema of wanted) {
        const own = await avscReaders({ readerSchema, exactLongs });
        for (const text of written) {
          const type = avsc.Type.forSchema(JSON.parse(text) as avsc.Schema, { logicalTypes: {} });
          for (let i = 0; i < 20; i++) {
            const bytes = type.toBuffer(sampleOf(type));
            const expected = outcome(() => own.reader({ text, references: [] })(bytes));
            expect(outcome(() => avroRecord(text, { readerSchema, exactLongs, utf8Text })(bytes, 0))).toEqual(expected);
          }
        }
      }
    }
  });
});

const PROTO = `syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Kind { NONE = 0; CARD = 1; CASH = 2; }
message Other { string name = 1; Other inner = 2; }
message Row {
  int64 id = 1; uint64 u = 2; sint64 s = 3; fixed64 f = 4; int32 i = 5; sint32 z = 6; uint32 w = 7; sfixed32 x = 8;
  double d = 9; float g = 10; bool b = 11; string t = 12; bytes y = 13; Kind kind = 14;
  repeated int32 ints = 15; repeated string texts = 16; repeated Other others = 17; Other other = 18;
  map<string, int64> counts = 19; map<int32, Other> places = 20; optional string maybe = 21;
  oneof choice { string one = 22; int64 two = 23; Other three = 24; }
  google.protobuf.Timestamp at = 25; google.protobuf.Int64Value big = 26; google.protobuf.DoubleValue half = 27;
  repeated Kind kinds = 28; repeated google.protobuf.Timestamp times = 29; map<string, Kind> named = 30;
  message Nested { int32 n = 1; }
  Nested nested = 31;
}`;
const PROTO2 = `syntax = "proto2";
message Row { required int32 id = 1; optional string t = 2 [default = "none"]; optional int64 n = 3 [default = 5];
  enum Kind { A = 1; B = 2; } optional Kind kind = 4 [default = B]; repeated Kind kinds = 5; repeated int32 packed = 6 [packed = true];
  optional group Part = 7 { optional int32 x = 1; } }`;

const long = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
const other = fc.record(
  { name: fc.string(), inner: fc.record({ name: fc.string() }, { requiredKeys: [] }) },
  { requiredKeys: [] },
);
const time = fc.record({
  seconds: fc.integer({ min: -1e9, max: 4e9 }),
  nanos: fc.integer({ min: 0, max: 999_999_999 }),
});
const protoRow = fc.record(
  {
    ...{ id: long, u: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String), s: long, f: fc.nat(), i: fc.integer() },
    ...{ z: fc.integer(), w: fc.nat(), x: fc.integer(), d: fc.double(), g: fc.float(), b: fc.boolean() },
    ...{ t: fc.string({ unit: "binary" }), y: fc.base64String(), kind: fc.integer({ min: 0, max: 4 }) },
    ...{
      ints: fc.array(fc.integer()),
      texts: fc.array(fc.string()),
      others: fc.array(other),
      other,
      maybe: fc.string(),
    },
    ...{ counts: fc.dictionary(fc.string(), long), places: fc.dictionary(fc.nat().map(String), other) },
    ...{ at: time, big: fc.record({ value: long }), half: fc.record({ value: fc.double() }) },
    ...{
      kinds: fc.array(fc.integer({ min: 0, max: 4 })),
      times: fc.array(time),
      nested: fc.record({ n: fc.integer() }),
    },
    ...{ named: fc.dictionary(fc.string(), fc.integer({ min: 0, max: 3 })), two: long, three: other },
  },
  { requiredKeys: [] },
);

describe("Protobuf in the workers", () => {
  it("reads what avsc reads, and refuses what it refuses", async () => {
    const own = await protobufReaders();
    const type = protobufjs.parse(PROTO, { keepCase: true }).root;
    for (const common of ["timestamp", "wrappers"]) {
      const file = protobufjs.common.get(`google/protobuf/${common}.proto`);
      if (file?.nested !== undefined) type.addJSON(file.nested);
    }
    const row = type.lookupType("shop.Row");
    const schema = { text: PROTO, references: [] };
    const expected = own.named(schema, "shop.Row");
    const found = protobufMessage(protobufjs, schema, "shop.Row");
    const [expectedAt, foundAt] = [own.indexed(schema), indexedProtobuf(protobufjs, schema)];
    fc.assert(
      fc.property(protoRow, damage, (value, how) => {
        const bytes = damaged(Buffer.from(row.encode(row.fromObject(value)).finish()), how);
        expect(outcome(() => found(bytes, 0))).toEqual(outcome(() => expected(bytes, 0)));
        const placed = Buffer.concat([Buffer.from([2, 2]), bytes]);
        expect(outcome(() => foundAt(placed, 0))).toEqual(outcome(() => expectedAt(placed, 0)));
      }),
      { numRuns: 500 },
    );
  });

  it("keeps the rules of proto2: required fields, defaults, closed enums, groups", async () => {
    const own = await protobufReaders();
    const schema = { text: PROTO2, references: [] };
    const [expected, found] = [own.named(schema, "Row"), protobufMessage(protobufjs, schema, "Row")];
    const row = protobufjs.parse(PROTO2, { keepCase: true }).root.lookupType("Row");
    const value = fc.record({
      ...{ id: fc.integer(), kind: fc.constantFrom(1, 2, 3), kinds: fc.array(fc.constantFrom(1, 2, 3)) },
      ...{ packed: fc.array(fc.integer()), part: fc.record({ x: fc.integer() }) },
    });
    fc.assert(
      fc.property(value, damage, (input, how) => {
        const bytes = damaged(Buffer.from(row.encode(row.create(input)).finish()), how);
        expect(outcome(() => found(bytes, 0))).toEqual(outcome(() => expected(bytes, 0)));
      }),
    );
    expect(outcome(() => found(Buffer.alloc(0), 0))).toBe("refused");
    expect(found(Buffer.from([8, 1]), 0)).toMatchObject({ t: "none", n: 5n, kind: "B" });
  });
});

const column = (name: string, kind: SourceColumn["type"]["kind"], nullable = false): SourceColumn => ({
  name,
  type: { kind, nullable },
});
const COLUMNS = [column("id", "int64"), column("amount", "float64", true), column("at", "timestamp")];
const AT = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** Both decoders' answers. */
async function decoded(
  format: EventFormat,
  bytes: Buffer,
  headers: Record<string, string> = {},
  schemas: readonly RegisteredSchema[] = [],
): Promise<{ own: unknown; found: unknown }> {
  const registry = { schema: async (id: number) => schemas.find((one) => one.id === id) ?? null };
  const message = { partition: "0", offset: 0, key: null, value: bytes, ingestedAt: AT, headers };
  const own = await compileFormat({ columns: COLUMNS, eventTime: "at", format, registry });
  await own.prepare([message]);
  const found = createRecordDecoder(COLUMNS, "at", format, protobufjs);
  for (const schema of schemas) found.learn(schema.id, JSON.stringify(schema));
  return { own: own.decode(message), found: found.decode({ bytes, headers, failure: null }) };
}

function wire(id: number, ...body: Uint8Array[]): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(id, 1);
  return Buffer.concat([head, ...body]);
}

describe("records in the workers", () => {
  const schema = JSON.stringify({
    type: "record",
    name: "Payment",
    fields: [
      { name: "id", type: "long" },
      { name: "amount", type: ["null", "double"] },
      { name: "at", type: { type: "long", logicalType: "timestamp-millis" } },
    ],
  });
  const type = avsc.Type.forSchema(JSON.parse(schema) as avsc.Schema, { logicalTypes: {} });
  const body = type.toBuffer({ id: 7, amount: 1.5, at: AT });
  const registered: RegisteredSchema = { id: 300, type: "AVRO", text: schema, references: [] };

  it("are decoded by the registry's schemas, which are given as data", async () => {
    for (const [bytes, format] of [
      [wire(300, body), avro({ registry: true })],
      [wire(301, body), avro({ registry: true })],
      [body, avro({ registry: true })],
      [wire(300, body.subarray(1)), avro({ registry: true })],
      [wire(300, body), protobuf({ registry: true })],
    ] as const) {
      const { own, found } = await decoded(format, Buffer.from(bytes), {}, [registered]);
      expect(found).toEqual(own);
    }
    expect((await decoded(avro({ registry: true }), wire(300, body), {}, [registered])).found).toEqual([7n, 1.5, AT]);
  });

  it("are unwrapped of CloudEvents, structured and binary", async () => {
    const attributes = { specversion: "1.0", id: "e1", source: "/shop", type: "paid" };
    const format = avro({ schema, cloudEvents: true });
    const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce_${name}`, value]));
    const structured = { ...attributes, data_base64: body.toString("base64") };
    const inJson = { ...attributes, data: { id: "9007199254740993", amount: null, at: AT } };
    for (const [bytes, head, how] of [
      [body, headers, format],
      [Buffer.from(JSON.stringify(structured)), {}, format],
      [Buffer.from(`\ufeff${JSON.stringify(inJson)}`), {}, json({ cloudEvents: true })],
      [Buffer.from("{}"), {}, json({ cloudEvents: true })],
      [Buffer.from("{"), {}, json({ cloudEvents: true })],
    ] as const) {
      const { own, found } = await decoded(how, Buffer.from(bytes), head);
      expect((found as { code?: string }).code).toBe((own as { code?: string }).code);
      if (Array.isArray(own)) expect(found).toEqual(own);
    }
    expect((await decoded(format, body, headers)).found).toEqual([7n, 1.5, AT]);
  });

  it("are JSON whether a registry's id stands before it or not", async () => {
    const text = Buffer.from(`{"id":1,"amount":2,"at":${AT}}`);
    for (const bytes of [text, wire(9, text), Buffer.from("{"), Buffer.from([0xff, 0x7b])]) {
      const { own, found } = await decoded(json(), bytes);
      expect(found).toEqual(own);
    }
  });
});

describe("text in the workers", () => {
  it("is decoded from any bytes as Node does", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(utf8Text(bytes)).toBe(Buffer.from(bytes).toString("utf8"));
        const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
        expect(outcome(() => utf8Text(bytes, 0, bytes.length, "refuse"))).toBe(outcome(() => strict.decode(bytes)));
      }),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => utf8Text(Buffer.from(text)) === text.toWellFormed()),
    );
  });

  it("is Base64 as Node reads it", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.constantFrom("base64" as const, "base64url" as const), (bytes, how) => {
        expect(Buffer.from(base64Bytes(Buffer.from(bytes).toString(how)))).toEqual(Buffer.from(bytes));
      }),
    );
  });
});

/** A value of the type. With bad luck avsc goes down a schema that holds itself until the stack is full. */
function sampleOf(type: avsc.Type): unknown {
  for (;;) {
    try {
      return type.random();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
}
