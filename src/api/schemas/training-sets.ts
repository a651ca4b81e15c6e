import { adminOnly, answers, type JsonSchema, objectOf, problem, type RouteSchema, text } from "./problem.ts";

const whole: JsonSchema = { type: "integer", minimum: 0 };
const status: JsonSchema = objectOf(
  {
    id: text,
    state: { type: "string", enum: ["uploading", "running", "done", "failed", "interrupted"] },
    received: { ...whole, description: "Bytes of the frame that have come: the next piece's offset." },
    progress: {
      type: ["object", "null"],
      properties: { step: { type: "string", enum: ["read", "fit", "write"] }, rows: whole, total: whole },
    },
    bytes: { type: ["integer", "null"], description: "The finished file's length." },
    error: { type: ["object", "null"], additionalProperties: true },
    millrace: { type: ["object", "null"], additionalProperties: true, description: "The manifest, once done." },
  },
  ["progress", "bytes", "error", "millrace"],
);

/** Training sets as jobs. */
export const trainingSetSchemas: Readonly<Record<"open" | "append" | "status" | "file" | "remove", RouteSchema>> = {
  open: {
    tags: ["features"],
    security: adminOnly,
    summary: "Make a training set of any size",
    description:
      "Begins a job, or finds the one of an equal request. The frame is announced and then sent in pieces (`PUT …/frame`), or is the result of a query of the cold store, which may only read.",
    body: objectOf(
      {
        service: text,
        knowledge: { type: "string", enum: ["event_time", "ingested_at"], default: "event_time" },
        format: { type: "string", enum: ["parquet", "csv", "arrow"], default: "parquet" },
        model: {
          ...text,
          description: "Apply what the service's transforms learned from this model's serving version.",
        },
        frame: objectOf({
          format: { type: "string", enum: ["csv", "csv.gz", "parquet", "jsonl", "arrow"] },
          bytes: whole,
          sha256: text,
        }),
        sql: text,
        timeout_seconds: { type: "number", default: 600 },
      },
      ["knowledge", "format", "model", "frame", "sql", "timeout_seconds"],
    ),
    response: answers(202, status, "The job."),
  },
  append: {
    tags: ["features"],
    security: adminOnly,
    summary: "Send a piece of a frame",
    description: "Bytes from `offset` on, at most 16 MiB. The job starts when all have come.",
    response: answers(200, status, "The job."),
  },
  status: {
    tags: ["features"],
    security: adminOnly,
    summary: "How far a training set is",
    response: answers(200, status, "The job."),
  },
  file: {
    tags: ["features"],
    security: adminOnly,
    summary: "Fetch a finished training set",
    response: {
      200: {
        description: "The file.",
        content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } },
      },
      "4xx": problem,
      "5xx": problem,
    },
  },
  remove: {
    tags: ["features"],
    security: adminOnly,
    summary: "Stop and forget a training set",
    response: { 204: { description: "It is gone." }, "4xx": problem, "5xx": problem },
  },
};
