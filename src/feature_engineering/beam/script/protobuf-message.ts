import type { Enum, Field, Type } from "protobufjs";
import { PROTOBUF_TIMESTAMP, PROTOBUF_WRAPPER, protobufSchema } from "../../../ingestion/decoders/protobuf-schema.ts";
import { readMessageIndexes } from "../../../ingestion/decoders/wire-format.ts";

/** The parts of protobufjs that read schemas and bytes: nothing of it is generated at run time. */
export type Protobuf = Pick<
  typeof import("protobufjs"),
  "Enum" | "Reader" | "Root" | "Type" | "common" | "parse" | "types"
>;

type Message = Record<string, unknown>;

/** protobufjs's reader of bytes, with what its types leave out, and a method for each type of field. */
interface Reader {
  pos: number;
  len: number;
  tag(): number;
  size(): number;
  skipType(wire: number, depth: number, id: number): void;
}
type Read = (bytes: Uint8Array, start: number) => Readonly<Message>;

export interface ProtobufSchemaText {
  readonly text: string;
  readonly references: readonly { readonly name: string; readonly text: string }[];
}

/** Compiles the reader of one message type, by its full name: what ingestion's own reader gives. @throws `SCHEMA_INVALID` */
export function protobufMessage(protobuf: Protobuf, schema: ProtobufSchemaText, message: string): Read {
  const plan = planOf(protobuf, protobufSchema(protobuf, schema).named(message), new Map());
  return (bytes, start) => readWhole(protobuf, plan, bytes, start);
}

/** The same of messages that begin with their place in the schema, as a registry's do. @throws `SCHEMA_INVALID` */
export function indexedProtobuf(protobuf: Protobuf, schema: ProtobufSchemaText): Read {
  const parsed = protobufSchema(protobuf, schema);
  const plans = new Map<string, MessagePlan>();
  const shared = new Map<Type, MessagePlan>();
  return (bytes, start) => {
    const place = readMessageIndexes(bytes, start);
    if (place === null) throw new RangeError("its message indexes are cut off");
    const id = place.indexes.join(".");
    let plan = plans.get(id);
    if (plan === undefined) {
      plan = planOf(protobuf, parsed.at(place.indexes), shared);
      plans.set(id, plan);
    }
    return readWhole(protobuf, plan, bytes, place.start);
  };
}

interface MessagePlan {
  readonly fields: FieldPlan[];
  readonly byId: Map<number, FieldPlan>;
  /** What stands for the message; null: its fields. */
  readonly stands: "timestamp" | "value" | null;
}

interface FieldPlan {
  readonly name: string;
  readonly id: number;
  readonly repeated: boolean;
  readonly map: boolean;
  readonly required: boolean;
  /** The other fields of its oneof, which it replaces. */
  readonly rivals: readonly string[];
  /** Null for fields that are absent unless they are set. */
  readonly absent: (() => unknown) | null;
  /** The reader's method; of a map its value's. */
  readonly method: string;
  readonly wire: number;
  readonly packable: boolean;
  readonly message: MessagePlan | null;
  /** A group: it ends with a tag of its own. */
  readonly delimited: boolean;
  readonly names: Readonly<Record<number, string>> | null;
  /** Of a closed enum: other numbers are unknown fields. */
  readonly closed: boolean;
  readonly isLong: boolean;
  readonly keyMethod: string;
  readonly keyWire: number;
  readonly keyDefault: unknown;
}

const DEEPEST = 100;
const VARINT = 0;
const LENGTH = 2;
const GROUP = 3;

function planOf(protobuf: Protobuf, type: Type, known: Map<Type, MessagePlan>): MessagePlan {
  const before = known.get(type);
  if (before !== undefined) return before;
  const stands =
    type.fullName === PROTOBUF_TIMESTAMP ? "timestamp" : PROTOBUF_WRAPPER.test(type.fullName) ? "value" : null;
  const plan: MessagePlan = { fields: [], byId: new Map(), stands };
  known.set(type, plan);
  for (const field of type.fieldsArray) {
    const made = fieldOf(protobuf, field.resolve(), known);
    plan.fields.push(made);
    plan.byId.set(made.id, made);
  }
  return plan;
}

/** What protobufjs works out itself and has no types for. */
interface Resolved {
  readonly _features: { readonly utf8_validation?: string; readonly enum_type?: string };
  readonly delimited?: boolean;
}

function fieldOf(protobuf: Protobuf, field: Field, known: Map<Type, MessagePlan>): FieldPlan {
  const { types } = protobuf;
  const resolved = field as unknown as Resolved;
  const enumeration = field.resolvedType instanceof protobuf.Enum ? (field.resolvedType as Enum) : null;
  const message = field.resolvedType instanceof protobuf.Type ? planOf(protobuf, field.resolvedType, known) : null;
  const kind = enumeration === null ? field.type : "int32";
  const method = (name: string): string =>
    name === "string" && resolved._features.utf8_validation === "VERIFY" ? "stringVerify" : name;
  const keyType = field.map ? (field as Field & { readonly keyType: string }).keyType : "";
  const wires = types.basic as Readonly<Record<string, number>>;
  const isLong = (types.long as Readonly<Record<string, number>>)[kind] !== undefined;
  const names = enumeration === null ? null : enumeration.valuesById;
  return {
    ...{ name: field.name, id: field.id, repeated: field.repeated, map: field.map, required: field.required },
    rivals: field.partOf ? field.partOf.oneof.filter((name) => name !== field.name) : [],
    absent: field.partOf ? null : absentOf(field, message, names, isLong),
    method: method(kind),
    wire: wires[kind] ?? LENGTH,
    packable: (types.packed as Readonly<Record<string, number>>)[kind] !== undefined,
    ...{ message, delimited: resolved.delimited === true, names, isLong },
    closed: (enumeration as unknown as Resolved | null)?._features.enum_type === "CLOSED",
    keyMethod: method(keyType),
    keyWire: (types.mapKey as Readonly<Record<string, number>>)[keyType] ?? VARINT,
    keyDefault: (types.defaults as Readonly<Record<string, unknown>>)[keyType] ?? 0,
  };
}

/** The value of a field that a message lacks. */
function absentOf(
  field: Field,
  message: MessagePlan | null,
  names: FieldPlan["names"],
  isLong: boolean,
): () => unknown {
  if (field.repeated) return () => [];
  if (field.map) return () => ({});
  if (message !== null) return () => null;
  const value = field.typeDefault as unknown;
  if (names !== null) return () => names[value as number];
  if (isLong) {
    const exact = BigInt(String(value));
    return () => exact;
  }
  if (field.type === "bytes") return () => Uint8Array.from(value as ArrayLike<number>);
  return () => value;
}

function readWhole(protobuf: Protobuf, plan: MessagePlan, bytes: Uint8Array, start: number): Readonly<Message> {
  const reader = protobuf.Reader.create(start === 0 ? bytes : bytes.subarray(start)) as unknown as Reader;
  const message: Message = {};
  readFields(reader, plan, reader.len, null, 0, message);
  return finish(plan, message) as Message;
}

type Methods = Readonly<Record<string, () => unknown>>;

/** Reads fields up to `end`, or to the end of the group with this number. */
function readFields(
  reader: Reader,
  plan: MessagePlan,
  end: number,
  group: number | null,
  depth: number,
  into: Message,
): void {
  if (depth > DEEPEST) throw new TypeError("max depth exceeded");
  let closed = group === null;
  while (reader.pos < end) {
    const tag = reader.tag();
    const id = tag >>> 3;
    const wire = tag & 7;
    if (group !== null && wire === GROUP + 1 && id === group) {
      closed = true;
      break;
    }
    const field = plan.byId.get(id);
    if (field === undefined || !readField(reader, field, wire, depth, into)) skip(reader, wire, id, depth);
  }
  if (!closed) throw new TypeError("missing end group");
  if (group === null && reader.pos !== end) throw new RangeError("index out of range");
  for (const { required, name } of plan.fields) {
    if (required && !Object.hasOwn(into, name)) throw new TypeError(`missing required '${name}'`);
  }
}

/** False if the field was written as another type. */
function readField(reader: Reader, field: FieldPlan, wire: number, depth: number, into: Message): boolean {
  const { name, message } = field;
  if (field.map) {
    if (wire !== LENGTH) return false;
    readEntry(reader, field, depth, into);
    return true;
  }
  if (message !== null) {
    if (wire !== (field.delimited ? GROUP : LENGTH)) return false;
    const own = field.repeated ? {} : ((into[name] as Message | undefined) ?? {});
    readMessage(reader, message, field.delimited ? field.id : null, depth, own);
    if (field.repeated) listOf(into, name).push(own);
    else set(field, own, into);
    return true;
  }
  const read = (reader as unknown as Methods)[field.method]!;
  if (field.repeated && field.packable && wire === LENGTH) {
    const end = reader.size() + reader.pos;
    if (end > reader.len) throw new RangeError("index out of range");
    while (reader.pos < end) put(field, read.call(reader), into);
    if (reader.pos !== end) throw new RangeError("index out of range");
    return true;
  }
  if (wire !== field.wire) return false;
  put(field, read.call(reader), into);
  return true;
}

function put(field: FieldPlan, value: unknown, into: Message): void {
  if (field.closed && field.names![value as number] === undefined) return;
  if (field.repeated) listOf(into, field.name).push(value);
  else set(field, value, into);
}

function set({ name, rivals }: FieldPlan, value: unknown, into: Message): void {
  into[name] = value;
  for (const rival of rivals) delete into[rival];
}

function listOf(into: Message, name: string): unknown[] {
  const list = (into[name] as unknown[] | undefined) ?? [];
  into[name] = list;
  return list;
}

function readMessage(reader: Reader, plan: MessagePlan, group: number | null, depth: number, into: Message): void {
  if (group !== null) {
    readFields(reader, plan, reader.len, group, depth + 1, into);
    return;
  }
  const end = reader.size() + reader.pos;
  if (end > reader.len) throw new RangeError("index out of range");
  const { len } = reader;
  reader.len = end;
  readFields(reader, plan, end, null, depth + 1, into);
  reader.len = len;
}

function readEntry(reader: Reader, field: FieldPlan, depth: number, into: Message): void {
  const end = reader.size() + reader.pos;
  if (end > reader.len) throw new RangeError("index out of range");
  const { len } = reader;
  reader.len = end;
  const methods = reader as unknown as Methods;
  let key = field.keyDefault;
  let value: unknown;
  while (reader.pos < end) {
    const tag = reader.tag();
    const id = tag >>> 3;
    const wire = tag & 7;
    if (id === 1 && wire === field.keyWire) {
      key = methods[field.keyMethod]!.call(reader);
    } else if (id === 2 && field.message !== null && wire === LENGTH) {
      value ??= {};
      readMessage(reader, field.message, null, depth, value as Message);
    } else if (id === 2 && field.message === null && wire === field.wire) {
      value = methods[field.method]!.call(reader);
    } else {
      skip(reader, wire, id, depth);
    }
  }
  if (reader.pos !== end) throw new RangeError("index out of range");
  reader.len = len;
  value ??= field.message !== null ? {} : field.isLong ? 0 : field.method === "bytes" ? [] : defaultOf(field.method);
  if (field.closed && field.names![value as number] === undefined) return;
  const map = (into[field.name] as Message | undefined) ?? {};
  into[field.name] = map;
  Object.defineProperty(map, String(key), { value, enumerable: true, configurable: true, writable: true });
}

function defaultOf(method: string): unknown {
  if (method === "bool") return false;
  return method.startsWith("string") ? "" : 0;
}

function skip(reader: Reader, wire: number, id: number, depth: number): void {
  reader.skipType(wire, depth, id);
}

/** Plain fields: 64-bit integers as bigints, enums by name, timestamps as Dates, wrappers as their values. */
function finish(plan: MessagePlan, message: Message): unknown {
  const plain: Message = {};
  for (const field of plan.fields) {
    const found = message[field.name];
    if (found === undefined) {
      if (field.absent !== null) plain[field.name] = field.absent();
    } else if (field.map) {
      const entries = Object.entries(found as Message).map(([key, value]) => [key, finishValue(field, value)] as const);
      plain[field.name] = Object.fromEntries(entries);
    } else if (field.repeated) {
      plain[field.name] = (found as unknown[]).map((value) => finishValue(field, value));
    } else {
      plain[field.name] = finishValue(field, found);
    }
  }
  if (plan.stands === "value") return plain[plan.fields[0]!.name];
  if (plan.stands !== "timestamp") return plain;
  return new Date(Number(plain.seconds) * 1_000 + Math.floor((plain.nanos as number) / 1_000_000));
}

function finishValue({ message, names, isLong }: FieldPlan, value: unknown): unknown {
  if (message !== null) return finish(message, value as Message);
  if (names !== null) return names[value as number] ?? value;
  // protobufjs has longs as objects of two halves, or as numbers.
  return isLong ? BigInt(String(value)) : value;
}
