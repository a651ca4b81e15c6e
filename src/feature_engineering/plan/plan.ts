import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import type { Declarations } from "./collect-declarations.ts";
import { canonicalText, hashJson, isList, isObject, type Json } from "./json.ts";
import {
  type PlanEntry,
  planEntity,
  planModel,
  planOutcome,
  planService,
  planSource,
  planView,
  type ViewEntry,
} from "./plan-entries.ts";

/**
 * Everything that was declared, as plain JSON: what the registry keeps, shows and compares. Each list is sorted by
 * name. Functions are canonical texts, durations milliseconds; an int64 is `{"$int64": "…"}`, a Date
 * `{"$timestamp": milliseconds}`. Nothing in a plan is ever executed.
 */
export interface Plan {
  /** The version of this format. */
  readonly version: 1;
  readonly entities: readonly PlanEntry[];
  readonly sources: readonly PlanEntry[];
  readonly views: readonly ViewEntry[];
  readonly services: readonly PlanEntry[];
  readonly models: readonly PlanEntry[];
  /** Left out if there is none. */
  readonly outcomes?: readonly PlanEntry[];
}

/** What each list of a plan has, in the order in which all of a plan is told. */
export const PLAN_LISTS = [
  ["entity", "entities"],
  ["source", "sources"],
  ["view", "views"],
  ["service", "services"],
  ["model", "models"],
  ["outcome", "outcomes"],
] as const;

/**
 * Makes the plan of declarations.
 *
 * @throws `FUNCTION_NOT_PURE`, `FUNCTION_UNREADABLE`, or `DEFINITION_INVALID` for a service whose columns clash.
 */
export function compilePlan(declarations: Declarations): Plan {
  const outcomes = declarations.outcomes ?? [];
  return {
    version: 1,
    entities: declarations.entities.map(planEntity),
    sources: declarations.sources.map(planSource),
    views: declarations.views.map(planView),
    services: declarations.services.map(planService),
    models: declarations.models.map(planModel),
    ...(outcomes.length === 0 ? {} : { outcomes: outcomes.map(planOutcome) }),
  };
}

/** The plan as canonical JSON (RFC 8785). */
export function planText(plan: Plan): string {
  return canonicalText(jsonOf(plan));
}

/** The hash of the whole plan, descriptions included: equal plans are applied once. 32 hex digits. */
export function planHash(plan: Plan): string {
  return hashJson(jsonOf(plan));
}

/**
 * Reads a plan from its JSON text.
 *
 * @throws `PLAN_UNREADABLE` if it is not a plan of this version.
 */
export function parsePlan(text: string): Plan {
  const json = parseJson(text);
  if (!isObject(json) || json.version !== 1) throw unreadable("it is not a plan of version 1");
  for (const [, list] of PLAN_LISTS) {
    const entries = json[list];
    if (list === "outcomes" && entries === undefined) continue;
    if (!isList(entries) || !entries.every((entry) => isObject(entry) && typeof entry.name === "string")) {
      throw unreadable(`its ${list} are not a list of named entries`);
    }
  }
  // Checked above as far as plans are read again: for display and comparison.
  return json as unknown as Plan;
}

function parseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (cause) {
    throw unreadable("it is not JSON", cause);
  }
}

function unreadable(why: string, cause?: unknown): MillraceError {
  return millraceError(
    "PLAN_UNREADABLE",
    `The stored plan cannot be read: ${why}. It was written by another version of Millrace, or by something else: apply the declarations again.`,
    { kind: "operational", cause },
  );
}

function jsonOf(plan: Plan): Json {
  return { ...plan };
}
