import type { Namespace, ReflectionObject, Type } from "protobufjs";
import { ingestionError } from "../ingestion-error.ts";
import type { RegisteredSchema } from "./schema-registry.ts";

type Protobuf = Pick<typeof import("protobufjs"), "Root" | "Type" | "common" | "parse">;

/** Well-known types that stand for a plain value, by their full name. Source: google/protobuf/wrappers.proto. */
export const PROTOBUF_WRAPPER: RegExp =
  /^\.google\.protobuf\.(Double|Float|Int64|UInt64|Int32|UInt32|Bool|String|Bytes)Value$/;
export const PROTOBUF_TIMESTAMP = ".google.protobuf.Timestamp";

/** The message types of a `.proto` file. */
export interface ProtobufSchema {
  /** By full name. @throws `SCHEMA_INVALID` */
  named(message: string): Type;
  /** By place: at each depth which message, in the order of the text. @throws RangeError if there is none */
  at(indexes: readonly number[]): Type;
}

/** Parses a file and what it refers to, with nothing generated. @throws `SCHEMA_INVALID` */
export function protobufSchema(
  protobuf: Protobuf,
  { text, references }: Pick<RegisteredSchema, "text" | "references">,
): ProtobufSchema {
  const root = new protobuf.Root();
  let own: Namespace;
  try {
    for (const common of ["timestamp", "wrappers", "duration", "struct", "any", "empty", "field_mask"]) {
      const file = protobuf.common.get(`google/protobuf/${common}.proto`);
      if (file?.nested !== undefined) root.addJSON(file.nested);
    }
    for (const reference of references) {
      if (!reference.name.startsWith("google/protobuf/")) protobuf.parse(reference.text, root, { keepCase: true });
    }
    const { package: name } = protobuf.parse(text, root, { keepCase: true });
    root.resolveAll();
    own = name === undefined || name === null ? root : (root.lookup(name) as Namespace);
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw ingestionError("SCHEMA_INVALID", `The schema is no Protobuf file: ${said}.`, { cause });
  }
  let declared: readonly Type[] | null = null;
  return {
    named(message) {
      const type = root.lookup(message, [protobuf.Type]);
      if (type instanceof protobuf.Type) return type;
      throw ingestionError("SCHEMA_INVALID", `The Protobuf schema has no message '${message}'.`);
    },
    at(indexes) {
      declared ??= declaredMessages(text, own, protobuf);
      let at = declared;
      let type: Type | undefined;
      for (const index of indexes) {
        type = at[index];
        if (type === undefined) throw new RangeError(`the schema has no message ${indexes.join(".")}`);
        at = typesOf(type, protobuf);
      }
      return type!;
    },
  };
}

/** The top-level messages of the file itself, in the order of the text; what it refers to may share its package. */
function declaredMessages(text: string, own: Namespace, protobuf: Protobuf): readonly Type[] {
  const alone = new protobuf.Root();
  const { package: name } = protobuf.parse(text, alone, { keepCase: true });
  const namespace = name === undefined || name === null ? alone : (alone.lookup(name) as Namespace);
  return typesOf(namespace, protobuf).map((type) => own.get(type.name) as Type);
}

function typesOf(namespace: Namespace, protobuf: Protobuf): Type[] {
  return namespace.nestedArray.filter((nested: ReflectionObject): nested is Type => nested instanceof protobuf.Type);
}
