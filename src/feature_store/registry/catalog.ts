import { millraceError } from "../../definitions/errors.ts";
import type { PlanKind } from "../../feature_engineering/plan/diff-plans.ts";
import { PLAN_LISTS, type Plan } from "../../feature_engineering/plan/plan.ts";
import type { PlanEntry } from "../../feature_engineering/plan/plan-entries.ts";

/** One thing that a plan declares, in short. */
export interface CatalogEntry {
  readonly kind: PlanKind;
  readonly name: string;
  /** The hash of what it computes; null for entities, sources and models, which compute nothing of their own. */
  readonly hash: string | null;
  readonly owner: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly description: string;
}

export interface CatalogQuery {
  readonly kind?: PlanKind;
  /** Exactly this owner. */
  readonly owner?: string;
  /** `name`, or `name=value`. */
  readonly tag?: string;
  /** In a name, description, owner, tag, column or feature, in any case; several words must all be found. */
  readonly text?: string;
}

export interface CatalogMatch extends CatalogEntry {
  /** Where the text was found: `name`, `owner`, `description`, `tag:x`, `column:x`, `feature:x`. */
  readonly found: readonly string[];
}

/** Everything that a plan declares: entities, sources, views, services, models, outcomes, each by name. */
export function catalogOf(plan: Plan): CatalogEntry[] {
  return entriesOf(plan).map(([kind, entry]) => inShort(kind, entry));
}

/**
 * The whole entry of a name.
 * @throws `ENTRY_UNKNOWN`; `ENTRY_AMBIGUOUS` if several kinds have the name and none is asked for
 */
export function findEntry(plan: Plan, name: string, kind?: PlanKind): { kind: PlanKind; entry: PlanEntry } {
  const found = entriesOf(plan).filter(([of, entry]) => entry.name === name && (kind === undefined || kind === of));
  const [first, second] = found;
  if (first === undefined) {
    throw millraceError(
      "ENTRY_UNKNOWN",
      `The plan has no ${kind ?? "entity, source, view, service, model or outcome"} '${name}'.`,
    );
  }
  if (second !== undefined) {
    throw millraceError(
      "ENTRY_AMBIGUOUS",
      `'${name}' is the name of a ${found.map(([of]) => of).join(" and of a ")}: say which with the kind.`,
    );
  }
  return { kind: first[0], entry: first[1] };
}

/** Those entries that fit every part of the query. */
export function searchCatalog(plan: Plan, { kind, owner, tag, text = "" }: CatalogQuery): CatalogMatch[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const [tagName, tagValue] = tag === undefined ? [] : splitTag(tag);
  return entriesOf(plan).flatMap(([of, whole]): CatalogMatch[] => {
    const entry = inShort(of, whole);
    if (kind !== undefined && of !== kind) return [];
    if (owner !== undefined && entry.owner !== owner) return [];
    if (tagName !== undefined) {
      const value = entry.tags[tagName];
      if (value === undefined || (tagValue !== undefined && value !== tagValue)) return [];
    }
    const places = searchable(entry, whole);
    const hits = words.map((word) => places.filter(([, content]) => content.toLowerCase().includes(word)));
    if (hits.some((hit) => hit.length === 0)) return [];
    return [{ ...entry, found: [...new Set(hits.flat().map(([place]) => place))] }];
  });
}

function entriesOf(plan: Plan): [PlanKind, PlanEntry][] {
  return PLAN_LISTS.flatMap(([kind, list]) => (plan[list] ?? []).map((entry): [PlanKind, PlanEntry] => [kind, entry]));
}

function inShort(kind: PlanKind, entry: PlanEntry): CatalogEntry {
  return {
    kind,
    name: entry.name,
    hash: typeof entry.hash === "string" ? entry.hash : null,
    // Plans of earlier versions of Millrace have neither for entities.
    owner: typeof entry.owner === "string" ? entry.owner : "",
    tags: (entry.tags ?? {}) as Readonly<Record<string, string>>,
    description: typeof entry.description === "string" ? entry.description : "",
  };
}

function searchable(entry: CatalogEntry, whole: PlanEntry): [string, string][] {
  const names = (list: unknown): string[] =>
    Array.isArray(list) ? (list as readonly { readonly name: string }[]).map(({ name }) => name) : [];
  return [
    ["name", entry.name],
    ["owner", entry.owner],
    ["description", entry.description],
    ...Object.entries(entry.tags).map(([name, value]): [string, string] => [`tag:${name}`, `${name}=${value}`]),
    ...[...names(whole.columns), ...names(whole.keys), ...names(whole.output)].map((name): [string, string] => [
      `column:${name}`,
      name,
    ]),
    ...names(whole.features).map((name): [string, string] => [`feature:${name}`, name]),
  ];
}

function splitTag(tag: string): [string] | [string, string] {
  const at = tag.indexOf("=");
  return at < 0 ? [tag] : [tag.slice(0, at), tag.slice(at + 1)];
}
