import { adminOnly, answers, listOf, maybeText, maybeTime, objectOf, type RouteSchema, text, time } from "./problem.ts";

const tags = ["operations"];
const count = { type: "integer" };

/** What the command line asks of a running process. */
export const operatorSchemas: Readonly<Record<"plan" | "apply" | "check" | "prune", RouteSchema>> = {
  plan: {
    tags,
    summary: "The plan that was applied last",
    security: adminOnly,
    response: answers(
      200,
      objectOf({
        hash: maybeText,
        applied_at: maybeTime,
        plan: { type: ["object", "null"], additionalProperties: true },
      }),
    ),
  },
  apply: {
    tags,
    summary: "Read the declarations' files again and take them over, once their new views are filled",
    security: adminOnly,
    body: objectOf({ hash: { ...text, description: "Refused unless the files' plan has it." } }, ["hash"]),
    response: answers(
      200,
      objectOf({
        hash: text,
        meaning: { ...text, description: "The gravest of the changes." },
        changes: listOf({ type: "object", additionalProperties: true }),
      }),
    ),
  },
  check: {
    tags,
    summary: "Compare what the hot store serves with history, for a sample of entities",
    security: adminOnly,
    body: objectOf({ view: text, sample: { ...count, minimum: 1, maximum: 1_000_000, default: 100 } }, [
      "view",
      "sample",
    ]),
    response: answers(
      200,
      objectOf({
        reports: listOf(
          objectOf({
            view: text,
            time,
            entities: count,
            values: count,
            mismatches: count,
            skipped: { ...count, description: "Entities whose value changed meanwhile." },
            examples: listOf(objectOf({ feature: text, online: text, history: text })),
          }),
        ),
      }),
    ),
  },
  prune: {
    tags,
    summary: "Drop hot values of view versions that neither the last plans nor the declarations have",
    security: adminOnly,
    body: objectOf(
      {
        plans: { ...count, minimum: 1, default: 3 },
        unapplied: { type: "boolean", default: false },
        dry_run: { type: "boolean", default: false },
      },
      ["plans", "unapplied", "dry_run"],
    ),
    response: answers(
      200,
      objectOf({
        kept: count,
        keyspaces: listOf(
          objectOf({ keyspace: text, last_plan: { type: ["integer", "null"] }, dropped: { type: "boolean" } }),
        ),
      }),
    ),
  },
};
