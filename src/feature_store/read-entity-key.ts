import { millraceError } from "../definitions/errors.ts";
import type { ColumnTypeSpec, Value } from "../definitions/value.ts";
import type { KnownEntity } from "./entity-roles.ts";
import { readTime } from "./lookup.ts";

/**
 * The key of an entity from an object with its key columns, in the entity's order. Values may be texts, as a command
 * line has them: numbers, `true`, and ISO 8601 with a zone.
 * @throws `ENTITY_KEY_INVALID`, which names the column and never shows a value
 */
export function readEntityKey(entity: KnownEntity, raw: Readonly<Record<string, unknown>>): Value[] {
  const names = entity.keys.map((key) => key.name);
  const unknown = Object.keys(raw).find((name) => !names.includes(name));
  if (unknown !== undefined) throw invalid(entity, `there is no '${unknown}'`, unknown);
  return entity.keys.map(({ name, type }) => {
    if (raw[name] === undefined || raw[name] === null) throw invalid(entity, `'${name}' is missing`, name);
    const value = convert(raw[name], type);
    if (value === null) throw invalid(entity, `'${name}' is not of type ${type.kind}`, name);
    return value;
  });
}

function convert(raw: unknown, { kind }: ColumnTypeSpec): Value {
  switch (kind) {
    // Of a one_of also values that are not declared any more.
    case "string":
    case "one_of":
      return typeof raw === "string" ? raw.toWellFormed() : null;
    case "bool":
      return raw === true || raw === "true" ? true : raw === false || raw === "false" ? false : null;
    case "int32": {
      const number = typeof raw === "string" && /^-?\d{1,10}$/.test(raw) ? Number(raw) : raw;
      return typeof number === "number" && (number | 0) === number ? number + 0 : null;
    }
    case "int64": {
      const isWhole =
        typeof raw === "bigint" ||
        (typeof raw === "string" ? /^-?\d{1,19}$/.test(raw) : typeof raw === "number" && Number.isSafeInteger(raw));
      if (!isWhole) return null;
      const whole = BigInt(raw as bigint | string | number);
      return BigInt.asIntN(64, whole) === whole ? whole : null;
    }
    case "timestamp":
      return readTime(raw);
    case "float64":
    case "list":
      return null;
  }
}

function invalid(entity: KnownEntity, why: string, column: string): Error {
  const keys = entity.keys.map(({ name, type }) => `${name} (${type.kind})`).join(", ");
  return millraceError("ENTITY_KEY_INVALID", `The key of entity '${entity.name}' is ${keys}: ${why}.`, {
    details: { column },
  });
}
