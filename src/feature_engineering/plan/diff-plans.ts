import { type Meaning, meaningOf, worst } from "./change-meaning.ts";
import type { Json, JsonObject } from "./json.ts";
import { entryChanges } from "./json-changes.ts";
import { PLAN_LISTS, type Plan } from "./plan.ts";
import type { PlanEntry } from "./plan-entries.ts";

export type { Meaning } from "./change-meaning.ts";
export type PlanKind = "entity" | "source" | "view" | "service" | "model" | "outcome";

/** One difference within an entry. */
export interface PathChange {
  /** Where: `columns.amount.type.kind`; members of lists by their names. */
  readonly path: string;
  /** Undefined: it was added. */
  readonly before: Json | undefined;
  /** Undefined: it was removed. */
  readonly after: Json | undefined;
  readonly meaning: Meaning;
  /** What follows from it, for a person; empty where nothing does. */
  readonly reason: string;
}

/** One entry that was added, removed or changed. */
export interface EntryChange {
  readonly kind: PlanKind;
  readonly name: string;
  readonly change: "added" | "removed" | "changed";
  /** The gravest of its paths' meanings. */
  readonly meaning: Meaning;
  readonly reason: string;
  /** Empty unless changed. */
  readonly paths: readonly PathChange[];
}

/** What applying a plan would change. */
export interface PlanDiff {
  /** The gravest of all; a `breaking` plan is refused. */
  readonly meaning: Meaning;
  /** Entities, sources, views, services, models, outcomes; each by name. */
  readonly changes: readonly EntryChange[];
}

/** Compares the applied plan (null: none yet) with a new one. */
export function diffPlans(before: Plan | null, after: Plan): PlanDiff {
  const changes = PLAN_LISTS.flatMap(([kind, list]) => diffEntries(kind, before?.[list] ?? [], after[list] ?? []));
  return { meaning: worst(changes.map((change) => change.meaning)), changes };
}

function diffEntries(kind: PlanKind, before: readonly PlanEntry[], after: readonly PlanEntry[]): EntryChange[] {
  const old = new Map(before.map((entry) => [entry.name, entry]));
  const now = new Map(after.map((entry) => [entry.name, entry]));
  const names = [...new Set([...old.keys(), ...now.keys()])].sort();
  return names.flatMap((name): EntryChange[] => {
    const was = old.get(name);
    const is = now.get(name);
    if (was === undefined) return [added(kind, is!)];
    if (is === undefined) return [removed(kind, was)];
    return changed(kind, name, was, is);
  });
}

function added(kind: PlanKind, entry: PlanEntry): EntryChange {
  const isView = kind === "view";
  return {
    kind,
    name: entry.name,
    change: "added",
    meaning: isView ? "new_version" : "compatible",
    reason: isView ? `${String(entry.version)} is filled from history` : "",
    paths: [],
  };
}

function removed(kind: PlanKind, entry: PlanEntry): EntryChange {
  const kept: Partial<Record<PlanKind, string>> = {
    source: "it is read no more; its history is kept",
    view: "it is computed no more",
  };
  return { kind, name: entry.name, change: "removed", meaning: "compatible", reason: kept[kind] ?? "", paths: [] };
}

function changed(kind: PlanKind, name: string, was: JsonObject, is: JsonObject): EntryChange[] {
  const paths = entryChanges(was, is).map((change): PathChange => ({ ...change, ...meaningOf(kind, change, was, is) }));
  if (paths.length === 0) return [];
  const meaning = worst(paths.map((path) => path.meaning));
  const reason = paths.find((path) => path.meaning === meaning && path.reason !== "")?.reason ?? "";
  return [{ kind, name, change: "changed", meaning, reason, paths }];
}
