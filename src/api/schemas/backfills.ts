import { adminOnly, answers, listOf, maybeText, objectOf, type RouteSchema, text, time } from "./problem.ts";

const count = { type: "integer", minimum: 0 };
const job = objectOf({
  id: { ...text, description: "Equal requests have equal ids: asking again goes on." },
  kind: { type: "string", enum: ["backfill", "materialize"] },
  state: { type: "string", enum: ["running", "done", "failed", "stopped"] },
  source: maybeText,
  files: listOf(text),
  loaded: { ...count, description: "Events that the files added to history." },
  dead_letters: count,
  views: listOf(
    objectOf({
      view: text,
      entities: count,
      total: { type: ["integer", "null"] },
      written: { ...count, description: "Values that differed from history's." },
      unchanged: count,
      done: { type: "boolean" },
    }),
  ),
  started_at: time,
  updated_at: time,
  error: maybeText,
});
const about = { tags: ["backfills"], security: adminOnly };
const params = objectOf({ id: text });

export const backfillSchemas: Readonly<Record<"start" | "list" | "show" | "stop", RouteSchema>> = {
  start: {
    ...about,
    summary: "Load files into history, compute hot values from it",
    description:
      "Runs in the background, one job at a time; a job that was stopped or killed goes on when it is asked for again.",
    body: {
      type: "object",
      properties: {
        kind: { type: "string", enum: ["backfill", "materialize"], default: "backfill" },
        views: { ...listOf(text), description: "Default: all, or those of the source." },
        source: { ...text, description: "The source that the files belong to." },
        files: { ...listOf(text), description: "Paths on the server." },
      },
    },
    response: answers(202, job),
  },
  list: { ...about, summary: "List backfills", response: answers(200, objectOf({ backfills: listOf(job) })) },
  show: { ...about, summary: "Show a backfill", params, response: answers(200, job) },
  stop: { ...about, summary: "Stop a backfill, to go on later", params, response: answers(200, job) },
};
