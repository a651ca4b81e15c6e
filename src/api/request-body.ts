import { readTime } from "../feature_store/lookup.ts";
import { jsonFailure, parseJson } from "../ingestion/decoders/json-decoder.ts";
import { apiError, invalidRequest } from "./api-errors.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** Parses a body; integers keep all their digits. @throws `BODY_MALFORMED` */
export function parseBody(text: string): unknown {
  if (text === "") return undefined;
  let body: unknown;
  try {
    body = parseJson(text, true);
  } catch (error) {
    throw apiError("BODY_MALFORMED", jsonFailure(text, error).reason.replace(/^Not JSON/, "The body is not JSON"));
  }
  return body;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The body as an object of known names only. @throws `REQUEST_INVALID` */
export function readObject(body: unknown, known: readonly string[]): JsonObject {
  if (!isObject(body)) throw invalidRequest("The body", `a JSON object of ${known.join(", ")}`);
  for (const name of Object.keys(body)) {
    if (!known.includes(name)) {
      throw apiError("REQUEST_INVALID", `The body has no '${name}': known here are ${known.join(", ")}.`, {
        details: { path: name },
      });
    }
  }
  return body;
}

/** One to `maxRows` objects. @throws `REQUEST_INVALID`, `TOO_MANY_ROWS` */
export function readRows(rows: unknown, maxRows: number): readonly JsonObject[] {
  if (!Array.isArray(rows) || rows.length === 0) throw invalidRequest("rows", "a list of at least one object");
  if (rows.length > maxRows) {
    throw apiError("TOO_MANY_ROWS", `rows has ${rows.length} rows, at most ${maxRows} may come at once: split them.`, {
      details: { path: "rows", rows: rows.length, max_rows: maxRows },
    });
  }
  for (let i = 0; i < rows.length; i++) if (!isObject(rows[i])) throw invalidRequest(`rows[${i}]`, "an object");
  return rows as readonly JsonObject[];
}

export function readFlag(value: unknown, path: string): boolean {
  if (value === undefined) return false;
  if (typeof value === "boolean") return value;
  throw invalidRequest(path, "true or false");
}

/** Epoch milliseconds; undefined if it is not given. */
export function readMoment(value: unknown, path: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  const time = readTime(value);
  if (time === null) throw invalidRequest(path, "a moment: ISO 8601 with a zone, or epoch milliseconds");
  return time;
}

export function readName(value: unknown, path: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw invalidRequest(path, "a name");
}

export function readChoice<const C extends string>(value: unknown, path: string, choices: readonly C[]): C {
  const chosen = choices.find((choice) => choice === value);
  if (chosen !== undefined) return chosen;
  throw invalidRequest(path, `one of ${choices.join(", ")}`);
}
