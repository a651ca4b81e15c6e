import { listOf, objectOf, type RouteSchema, text } from "./problem.ts";

const readiness = objectOf({
  status: { type: "string", enum: ["ready", "not ready"] },
  reasons: listOf(text, "Why it is not ready."),
});
const json = (description: string, schema: object): Readonly<Record<string, unknown>> => ({
  description,
  content: { "application/json": { schema } },
});

export const healthSchemas: Readonly<Record<"live" | "ready" | "metrics", RouteSchema>> = {
  live: {
    tags: ["health"],
    summary: "Whether the process lives",
    response: { 200: json("It does.", objectOf({ status: text })) },
  },
  ready: {
    tags: ["health"],
    summary: "Whether it should get requests",
    response: { 200: json("It should.", readiness), 503: json("Not now.", readiness) },
  },
  metrics: {
    tags: ["health"],
    summary: "Metrics",
    description: "In the Prometheus text format, or what else the Accept header asks for.",
    response: { 200: { description: "The metrics.", content: { "text/plain": { schema: text } } } },
  },
};
