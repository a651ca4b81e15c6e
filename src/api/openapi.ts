import type { FastifyInstance } from "fastify";
import type { ModelMeta } from "../definitions/model.ts";
import type { ColumnTypeSpec } from "../definitions/value.ts";
import type { ApiContext } from "./api-context.ts";
import { modelDescription } from "./schemas/models.ts";
import { predictAnswer, predictBody, statusSchema } from "./schemas/predict.ts";
import { answers, type JsonSchema, objectOf, problemSchema } from "./schemas/problem.ts";

/** Describes the API as OpenAPI 3.1, at `/openapi.json`, and shows it at `/docs`. To be called before the routes are made. */
export async function describeApi(app: FastifyInstance, api: ApiContext): Promise<void> {
  const [{ default: swagger }, { default: swaggerUi }] = await Promise.all([
    import("@fastify/swagger"),
    import("@fastify/swagger-ui"),
  ]);
  for (const schema of [problemSchema, statusSchema, modelDescription]) app.addSchema(schema);
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Millrace",
        version: api.version,
        description: "Features computed from streams, and predictions of models that read them.",
      },
      components: {
        securitySchemes: {
          token: { type: "http", scheme: "bearer", description: "The token in the data folder's private file." },
        },
      },
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => String(json.$id ?? `schema_${i}`) },
  });
  await app.register(swaggerUi, { routePrefix: "/docs", uiConfig: { docExpansion: "list" } });
  const documents = new WeakMap<object, string>();
  app.get("/openapi.json", { schema: { hide: true } }, async (_request, reply) => {
    const { models } = api.declarations;
    const document = documents.get(models) ?? JSON.stringify(withModels(app.swagger() as OpenApiDocument, models));
    documents.set(models, document);
    reply.type("application/json; charset=utf-8");
    return document;
  });
}

interface OpenApiDocument {
  readonly paths?: Readonly<Record<string, unknown>>;
}

/** Adds each declared model's own route with the types of its lookup and its output. */
function withModels(document: OpenApiDocument, models: readonly ModelMeta[]): OpenApiDocument {
  const paths = models.map((model) => {
    const row = objectOf(
      Object.fromEntries(model.service.lookup.map(({ name, type }) => [name, valueSchema(type)])),
      model.service.lookup.filter(({ role, type }) => role === "request" && type.nullable).map(({ name }) => name),
    );
    const prediction = objectOf(Object.fromEntries(model.output.map(({ name, type }) => [name, valueSchema(type)])));
    const { response } = { response: answers(200, predictAnswer(prediction), "The predictions.") };
    const operation = {
      tags: ["models"],
      summary: `Predict with ${model.name}`,
      description: model.description,
      requestBody: { required: true, content: { "application/json": { schema: predictBody(row) } } },
      responses: response,
    };
    return [`/v1/models/${model.name}/predict`, { post: localReferences(operation) }] as const;
  });
  return { ...document, paths: { ...document.paths, ...Object.fromEntries(paths) } };
}

/** `Problem#`, as the routes have it, is in the document `#/components/schemas/Problem`. */
function localReferences(schema: object): unknown {
  return JSON.parse(JSON.stringify(schema), (key, value: unknown) =>
    key === "$ref" && typeof value === "string" ? `#/components/schemas/${value.slice(0, -1)}` : value,
  );
}

/** The JSON schema of a column's values. */
function valueSchema(type: ColumnTypeSpec): JsonSchema {
  const schema = plainSchema(type);
  if (!type.nullable) return schema;
  return { oneOf: [schema, { type: "null" }] };
}

function plainSchema(type: ColumnTypeSpec): JsonSchema {
  switch (type.kind) {
    case "string":
      return { type: "string" };
    case "one_of":
      return { type: "string", enum: type.values ?? [] };
    case "bool":
      return { type: "boolean" };
    case "int32":
      return { type: "integer", format: "int32" };
    case "int64":
      return {
        oneOf: [
          { type: "integer", format: "int64" },
          { type: "string", pattern: "^-?[0-9]{1,19}$" },
        ],
      };
    case "float64":
      return { type: "number", format: "double" };
    case "timestamp":
      return { oneOf: [{ type: "string", format: "date-time" }, { type: "integer" }] };
    case "list":
      return { type: "array", items: type.item === undefined ? {} : valueSchema(type.item) };
  }
}
