import { millraceError } from "../../definitions/errors.ts";
import type { PlanKind } from "../../feature_engineering/plan/diff-plans.ts";
import type { Plan } from "../../feature_engineering/plan/plan.ts";
import type { PlanEntry } from "../../feature_engineering/plan/plan-entries.ts";
import { findEntry } from "./catalog.ts";

export interface LineageNode {
  readonly kind: PlanKind;
  readonly name: string;
  /** A view's key space (`name@…`), a service's hash; null for what has no version of its own. */
  readonly version: string | null;
}

export interface LineageEdge {
  /** What is read. */
  readonly from: LineageNode;
  /** What reads it. */
  readonly to: LineageNode;
}

/** A column or feature, and what it is computed from in the end. */
export interface ColumnLineage {
  readonly kind: "view" | "service" | "model";
  readonly name: string;
  /** A view's or a service's feature. A model reads those of its service. */
  readonly feature: string;
  /** The features of views that it reads, as `view.feature`; of a view's own feature none. */
  readonly features: readonly string[];
  /** The columns of sources that it reads, through views and derives, as `source.column`; without keys. */
  readonly columns: readonly string[];
  /** The columns of the request that it reads. */
  readonly request: readonly string[];
}

export interface Lineage {
  readonly node: LineageNode;
  /** Everything that it reads, in the end; nearest first. */
  readonly upstream: readonly LineageNode[];
  /** Everything that reads it, in the end; nearest first. */
  readonly downstream: readonly LineageNode[];
  /** Among all of these. */
  readonly edges: readonly LineageEdge[];
  /** The features of the node and of everything downstream that read it; with a column, those that read that one. */
  readonly columns: readonly ColumnLineage[];
}

/**
 * Who reads what: source and entity → view → service → model, in both directions. `column` narrows it to one column of
 * a source, or one feature of a view or service.
 * @throws `ENTRY_UNKNOWN`, `ENTRY_AMBIGUOUS`, `COLUMN_UNKNOWN`
 */
export function lineageOf(plan: Plan, name: string, kind?: PlanKind, column?: string): Lineage {
  const found = findEntry(plan, name, kind);
  const edges = edgesOf(plan);
  const node = nodeOf(found.kind, found.entry);
  const features = featuresOf(plan);
  const narrowed = column === undefined ? null : readersOf(plan, features, found, column);
  const reaches = (other: LineageNode): boolean =>
    narrowed === null || narrowed.some((feature) => feature.kind === other.kind && feature.name === other.name);
  const upstream = reach(node, edges, "from");
  const downstream = reach(node, edges, "to").filter(reaches);
  const all = new Set([node, ...upstream, ...downstream].map(idOf));
  const own = new Set([node, ...downstream].map(idOf));
  return {
    node,
    upstream,
    downstream,
    edges: edges.filter(({ from, to }) => all.has(idOf(from)) && all.has(idOf(to))),
    columns: narrowed ?? features.filter((feature) => own.has(`${feature.kind}:${feature.name}`)),
  };
}

function idOf({ kind, name }: Pick<LineageNode, "kind" | "name">): string {
  return `${kind}:${name}`;
}

function nodeOf(kind: PlanKind, entry: PlanEntry): LineageNode {
  const version = kind === "view" ? entry.version : kind === "service" ? entry.hash : null;
  return { kind, name: entry.name, version: typeof version === "string" ? version : null };
}

function edgesOf(plan: Plan): LineageEdge[] {
  const node = (kind: PlanKind, name: unknown, list: readonly PlanEntry[]): LineageNode | null => {
    const entry = list.find((one) => one.name === name);
    return entry === undefined ? null : nodeOf(kind, entry);
  };
  const edge = (from: LineageNode | null, to: LineageNode): LineageEdge[] => (from === null ? [] : [{ from, to }]);
  return [
    ...plan.views.flatMap((view) => {
      const to = nodeOf("view", view);
      return [
        ...edge(node("source", view.source, plan.sources), to),
        ...edge(node("entity", view.entity, plan.entities), to),
      ];
    }),
    ...plan.services.flatMap((service) =>
      (service.views as readonly string[]).flatMap((view) =>
        edge(node("view", view, plan.views), nodeOf("service", service)),
      ),
    ),
    ...plan.models.flatMap((model) => edge(node("service", model.service, plan.services), nodeOf("model", model))),
  ];
}

/** What is reached along the edges, nearest first. */
function reach(start: LineageNode, edges: readonly LineageEdge[], end: "from" | "to"): LineageNode[] {
  const other = end === "from" ? "to" : "from";
  const reached = new Map<string, LineageNode>();
  let front = [start];
  while (front.length > 0) {
    const ids = new Set(front.map(idOf));
    front = edges.filter((edge) => ids.has(idOf(edge[other]))).map((edge) => edge[end]);
    front = front.filter((node) => !reached.has(idOf(node)));
    for (const node of front) reached.set(idOf(node), node);
  }
  return [...reached.values()];
}

/** Every feature of every view, service and model, with what it reads. */
function featuresOf(plan: Plan): ColumnLineage[] {
  const views = plan.views.flatMap((view) =>
    listOf(view.features).map((feature): ColumnLineage => {
      const reads = readsOf([feature.input, feature.where]);
      return { kind: "view", name: view.name, feature: String(feature.name), ...reads, features: [] };
    }),
  );
  const columnsOf = new Map(views.map((feature) => [`${feature.name}.${feature.feature}`, feature.columns]));
  const services = plan.services.flatMap((service) =>
    listOf(service.features).map((feature): ColumnLineage => {
      const { features, request } = readsOf([feature.expression]);
      const columns = [...new Set(features.flatMap((name) => columnsOf.get(name) ?? []))].sort();
      return { kind: "service", name: service.name, feature: String(feature.name), features, columns, request };
    }),
  );
  const models = plan.models.flatMap((model) =>
    services
      .filter((feature) => feature.name === model.service)
      .map((feature): ColumnLineage => ({ ...feature, kind: "model", name: model.name })),
  );
  return [...views, ...services, ...models];
}

/** The features that read a column, and itself if it is one. */
function readersOf(
  plan: Plan,
  features: readonly ColumnLineage[],
  { kind, entry }: { readonly kind: PlanKind; readonly entry: PlanEntry },
  column: string,
): ColumnLineage[] {
  const full = `${entry.name}.${column}`;
  if (kind === "source" && listOf(entry.columns).some((one) => one.name === column)) {
    // A column that is a view's key stands under everything that the view has.
    const keyed = plan.views.filter(
      (view) => view.source === entry.name && Object.values(view.key_columns as object).includes(column),
    );
    const byKey = new Set(
      keyed.flatMap((view) => listOf(view.features).map((feature) => `${view.name}.${feature.name}`)),
    );
    return features.filter(
      (feature) =>
        feature.columns.includes(full) ||
        (feature.kind === "view" && byKey.has(`${feature.name}.${feature.feature}`)) ||
        feature.features.some((name) => byKey.has(name)),
    );
  }
  const own = features.filter((one) => one.kind === kind && one.name === entry.name && one.feature === column);
  if (own.length === 0) throw columnUnknown(kind, entry, column);
  if (kind === "view") return [...own, ...features.filter((feature) => feature.features.includes(full))];
  if (kind !== "service") return own;
  const models = new Set(plan.models.filter((model) => model.service === entry.name).map((model) => model.name));
  return [...own, ...features.filter((one) => one.kind === "model" && models.has(one.name) && one.feature === column)];
}

function columnUnknown(kind: PlanKind, entry: PlanEntry, column: string): Error {
  return millraceError("COLUMN_UNKNOWN", `The ${kind} '${entry.name}' has no column or feature '${column}'.`);
}

/** What expressions read, as plans write them. Each list is sorted. */
function readsOf(expressions: readonly unknown[]): Pick<ColumnLineage, "features" | "columns" | "request"> {
  const columns = new Set<string>();
  const features = new Set<string>();
  const request = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const expression = value as Readonly<Record<string, unknown>>;
    if (expression.op === "column") columns.add(`${expression.source}.${expression.column}`);
    else if (expression.op === "feature") features.add(`${expression.view}.${expression.feature}`);
    else if (expression.op === "request") request.add(String(expression.column));
    else if (expression.op === "derive") for (const input of Object.values(expression.inputs as object)) visit(input);
    else visit(expression.input);
  };
  for (const expression of expressions) visit(expression);
  const sorted = (set: ReadonlySet<string>): string[] => [...set].sort();
  return { columns: sorted(columns), features: sorted(features), request: sorted(request) };
}

function listOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? (value as readonly Readonly<Record<string, unknown>>[]) : [];
}
