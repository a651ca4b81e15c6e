import { adminOnly, answers, listOf, objectOf, type RouteSchema, text, time } from "./problem.ts";

const count = { type: "integer", minimum: 0 };
const flag = { type: "boolean" };

export const erasureSchemas: Readonly<Record<"erase" | "list", RouteSchema>> = {
  erase: {
    tags: ["erasure"],
    summary: "Erase one entity everywhere, for good",
    description:
      "Nulls the entity's key in its events, removes its values, dead letters and logged predictions, and sets a tombstone that does the same to whatever was taken up to now and arrives later. Other entities keep their events.",
    security: adminOnly,
    body: objectOf({
      entity: text,
      key: { type: "object", additionalProperties: true, description: "A value for each key column of the entity." },
    }),
    response: answers(
      200,
      objectOf({
        entity: text,
        events: { ...count, description: "Events whose key was nulled." },
        dead_letters: count,
        predictions: count,
        values: { ...count, description: "Values of the entity removed from the hot store." },
        other_values: { ...count, description: "Values of other entities that had read a nulled column." },
        until: time,
        pending: { ...flag, description: "The hot store follows as soon as it can." },
      }),
    ),
  },
  list: {
    tags: ["erasure"],
    summary: "List erasures, without keys",
    security: adminOnly,
    response: answers(
      200,
      objectOf({ erasures: listOf(objectOf({ id: count, entity: text, until: time, pending: flag })) }),
    ),
  },
};
