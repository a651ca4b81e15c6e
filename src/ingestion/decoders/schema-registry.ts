import { ingestionError } from "../ingestion-error.ts";

export interface SchemaRegistryOptions {
  /** With its path prefix, if it has one: `https://registry.example/apis/ccompat/v7`. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  /** Of one request, milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
}

export interface RegisteredSchema {
  readonly id: number;
  readonly type: "AVRO" | "PROTOBUF" | "JSON";
  readonly text: string;
  /** What it refers to, those first that others need; by the name that it uses. */
  readonly references: readonly { readonly name: string; readonly text: string }[];
}

/** Reads schemas by id from a registry that speaks Confluent's API. An id never changes its meaning: it is asked once. */
export interface SchemaRegistry {
  /** Null if the registry has no such schema. @throws `SCHEMA_REGISTRY_UNAVAILABLE`, `SCHEMA_REGISTRY_DENIED` */
  schema(id: number): Promise<RegisteredSchema | null>;
}

interface SchemaAnswer {
  readonly schema: string;
  readonly schemaType?: RegisteredSchema["type"];
  readonly references?: readonly { readonly name: string; readonly subject: string; readonly version: number }[];
}

export function schemaRegistry(options: SchemaRegistryOptions): SchemaRegistry {
  const base = options.url.replace(/\/+$/, "");
  const known = new Map<number, RegisteredSchema>();
  const headers: Record<string, string> = { accept: "application/vnd.schemaregistry.v1+json, application/json" };
  if (options.username !== undefined) {
    const pair = `${options.username}:${options.password ?? ""}`;
    headers.authorization = `Basic ${Buffer.from(pair, "utf8").toString("base64")}`;
  }

  async function ask(path: string): Promise<SchemaAnswer | null> {
    let response: Response;
    try {
      response = await fetch(`${base}${path}`, {
        headers,
        signal: AbortSignal.timeout(options.timeoutMs ?? 10_000),
      });
    } catch (cause) {
      throw unavailable(cause instanceof Error ? cause.message : String(cause), cause);
    }
    if (response.status === 404) {
      await response.body?.cancel();
      return null;
    }
    if (response.status === 401 || response.status === 403) {
      await response.body?.cancel();
      throw ingestionError(
        "SCHEMA_REGISTRY_DENIED",
        `The schema registry at ${base} refuses ${path} (${response.status}): check its user and password.`,
        { kind: "user" },
      );
    }
    if (!response.ok) {
      await response.body?.cancel();
      throw unavailable(`it answers ${path} with ${response.status}`);
    }
    try {
      return (await response.json()) as SchemaAnswer;
    } catch (cause) {
      throw unavailable(`its answer to ${path} is no JSON`, cause);
    }
  }

  function unavailable(why: string, cause?: unknown): Error {
    return ingestionError("SCHEMA_REGISTRY_UNAVAILABLE", `The schema registry at ${base} fails: ${why}.`, {
      kind: "operational",
      ...(cause === undefined ? {} : { cause }),
    });
  }

  /** All that a schema refers to, each once, those first that others need. */
  async function referencesOf(answer: SchemaAnswer, into: Map<string, string>): Promise<void> {
    for (const { name, subject, version } of answer.references ?? []) {
      if (into.has(name)) continue;
      const found = await ask(`/subjects/${encodeURIComponent(subject)}/versions/${version}`);
      if (found === null)
        throw unavailable(`subject '${subject}' version ${version}, which a schema refers to, is not there`);
      await referencesOf(found, into);
      into.set(name, found.schema);
    }
  }

  return {
    async schema(id) {
      const before = known.get(id);
      if (before !== undefined) return before;
      const answer = await ask(`/schemas/ids/${id}`);
      if (answer === null) return null;
      const references = new Map<string, string>();
      await referencesOf(answer, references);
      const schema: RegisteredSchema = {
        id,
        type: answer.schemaType ?? "AVRO",
        text: answer.schema,
        references: [...references].map(([name, text]) => ({ name, text })),
      };
      known.set(id, schema);
      return schema;
    },
  };
}
