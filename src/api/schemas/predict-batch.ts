import { type JsonSchema, nameParam, problem, type RouteSchema, text } from "./problem.ts";

const FORMATS = [
  "application/json",
  "application/x-ndjson",
  "text/csv",
  "application/vnd.apache.arrow.stream",
  "application/vnd.apache.arrow.file",
  "application/vnd.apache.parquet",
];
const content = (description: string): JsonSchema =>
  Object.fromEntries(FORMATS.map((type) => [type, { schema: { description } }]));

export const predictBatchSchema: RouteSchema = {
  tags: ["models"],
  summary: "Predict any number of rows",
  description:
    "Rows in, their predictions out in the same order, all with one version and one moment, in bounded memory. Rows come whole, with all columns that the model reads, or as entity keys and request columns; further columns are ignored. The answer has the format that Accept names, by default the body's. A row that cannot be answered among the first refuses the request; later ones, or all with errors=report, have `:error` in place.",
  params: nameParam,
  consumes: FORMATS,
  querystring: {
    type: "object",
    properties: {
      rows: { type: "string", enum: ["features", "keys"], description: "Where the columns leave it open." },
      as_of: { ...text, description: "The moment to read features at." },
      exact: { type: "string", enum: ["true", "false"], default: "false" },
      errors: { type: "string", enum: ["refuse", "report"], default: "refuse" },
    },
  },
  response: {
    200: { description: "The predictions.", content: content("A prediction per row.") },
    "4xx": problem,
    "5xx": problem,
  },
};
