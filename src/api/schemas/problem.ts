/** A JSON schema: only documentation here, what comes in is checked by the routes. */
export type JsonSchema = Readonly<Record<string, unknown>>;

export interface RouteSchema {
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly params?: JsonSchema;
  readonly querystring?: JsonSchema;
  readonly headers?: JsonSchema;
  readonly body?: JsonSchema;
  readonly response?: Readonly<Record<string, JsonSchema>>;
  readonly consumes?: readonly string[];
  readonly produces?: readonly string[];
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
  readonly hide?: boolean;
}

/** The schema of every error, by reference. */
export const problem: JsonSchema = {
  description: "What went wrong (RFC 9457).",
  content: { "application/problem+json": { schema: { $ref: "Problem#" } } },
};

export const problemSchema: JsonSchema = {
  $id: "Problem",
  type: "object",
  description: "An error as RFC 9457 has it; `code` is stable, further members are facts of the code.",
  required: ["type", "title", "status", "detail", "code"],
  properties: {
    type: { type: "string", examples: ["urn:millrace:problem:model-unknown"] },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string", description: "What went wrong, why, and what to do." },
    code: { type: "string", examples: ["MODEL_UNKNOWN"] },
    path: { type: "string", description: "Where in the request, such as `rows[3].origin`." },
  },
  additionalProperties: true,
};

export const nameParam: JsonSchema = {
  type: "object",
  required: ["name"],
  properties: { name: { type: "string" } },
};

export const text: JsonSchema = { type: "string" };
export const maybeText: JsonSchema = { type: ["string", "null"] };
export const time: JsonSchema = { type: "string", format: "date-time" };
export const maybeTime: JsonSchema = { type: ["string", "null"], format: "date-time" };
export const moment: JsonSchema = {
  description: "ISO 8601 with a zone, or epoch milliseconds.",
  oneOf: [{ type: "string", format: "date-time" }, { type: "integer" }],
};
export const adminOnly: readonly Readonly<Record<string, readonly string[]>>[] = [{ token: [] }];

export function listOf(items: JsonSchema, description?: string): JsonSchema {
  return { type: "array", items, ...(description === undefined ? {} : { description }) };
}

/** An object with exactly these members; those named in `optional` may be missing. */
export function objectOf(
  properties: Readonly<Record<string, JsonSchema>>,
  optional: readonly string[] = [],
): JsonSchema {
  return {
    type: "object",
    required: Object.keys(properties).filter((name) => !optional.includes(name)),
    properties,
    additionalProperties: false,
  };
}

/** A response without a body. */
export function nothing(description: string): JsonSchema {
  return { description, type: "null" };
}

/** The responses of a route: what it answers with, and problems. */
export function answers(
  status: 200 | 202,
  schema: JsonSchema,
  description = "Done.",
): Readonly<Record<string, JsonSchema>> {
  return {
    [status]: { description, content: { "application/json": { schema } } },
    "4xx": problem,
    "5xx": problem,
  };
}
