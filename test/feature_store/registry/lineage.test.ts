import { describe, expect, it } from "vitest";
import {
  count,
  derive,
  entity,
  featureService,
  featureView,
  latest,
  memory,
  NumericTransform,
  requestSource,
  streamSource,
  sum,
  t,
} from "../../../src/definitions/index.ts";
import { collectDeclarations } from "../../../src/feature_engineering/plan/collect-declarations.ts";
import { compilePlan } from "../../../src/feature_engineering/plan/plan.ts";
import { catalogOf, findEntry, searchCatalog } from "../../../src/feature_store/registry/catalog.ts";
import { lineageOf } from "../../../src/feature_store/registry/lineage.ts";

const payments = streamSource("payments", {
  stream: memory(),
  eventTime: "at",
  lateness: "1m",
  owner: "payments team",
  schema: {
    card_id: t.string(),
    amount: t.float64(),
    country: t.string(),
    note: t.string().nullable(),
    at: t.timestamp(),
  },
});
const card = entity(
  "card",
  { card_id: t.string() },
  { owner: "fraud team", tags: { pii: "yes" }, description: "A plastic card." },
);
const activity = featureView("activity", {
  source: payments,
  entity: card,
  tags: { tier: "gold" },
  features: {
    n: count().over("1h"),
    abroad: count()
      .where(derive({ country: payments.country }, t.bool(), ({ country }) => country !== "BE"))
      .over("1h"),
    spend: sum(payments.amount).over("1h"),
  },
});
const notes = featureView("notes", { source: payments, entity: card, features: { last_note: latest(payments.note) } });
const asked = requestSource({ asked: t.float64() });
const risk = featureService("risk", {
  owner: "fraud team",
  features: {
    asked: asked.asked,
    abroad: activity.abroad,
    ratio: derive({ spend: activity.spend, asked: asked.asked }, t.float64(), ({ spend, asked: a }) => a / (spend + 1)),
    log_spend: NumericTransform.of(activity.spend).log1p(),
  },
});
const plan = compilePlan(collectDeclarations({ payments, card, activity, notes, risk }));

describe("the registry's catalog", () => {
  it("lists everything that a plan declares, with owners and tags", () => {
    expect(catalogOf(plan).map(({ kind, name, owner, tags }) => [kind, name, owner, tags])).toEqual([
      ["entity", "card", "fraud team", { pii: "yes" }],
      ["source", "payments", "payments team", {}],
      ["view", "activity", "", { tier: "gold" }],
      ["view", "notes", "", {}],
      ["service", "risk", "fraud team", {}],
    ]);
  });

  it.each([
    [{ text: "card" }, ["card", "payments"], ["name", "description", "column:card_id"]],
    [{ text: "PLASTIC" }, ["card"], ["description"]],
    [{ text: "last_note" }, ["notes"], ["feature:last_note"]],
    [{ text: "fraud spend" }, ["risk"], ["owner", "feature:log_spend", "column:log_spend"]],
    [{ text: "gold" }, ["activity"], ["tag:tier"]],
    [{ owner: "fraud team" }, ["card", "risk"], []],
    [{ owner: "fraud team", kind: "service" }, ["risk"], []],
    [{ tag: "tier" }, ["activity"], []],
    [{ tag: "tier=gold" }, ["activity"], []],
    [{ tag: "tier=silver" }, [], undefined],
    [{ text: "nothing" }, [], undefined],
  ] as const)("finds by %j", (query, names, found) => {
    const matches = searchCatalog(plan, query);
    expect(matches.map(({ name }) => name)).toEqual(names);
    if (found !== undefined) expect([...matches[0]!.found].sort()).toEqual([...found].sort());
  });

  it("finds an entry, and says what it does not have", () => {
    expect(findEntry(plan, "risk").kind).toBe("service");
    expect(() => findEntry(plan, "none")).toThrow(expect.objectContaining({ code: "ENTRY_UNKNOWN" }));
    expect(() => findEntry(plan, "risk", "view")).toThrow(expect.objectContaining({ code: "ENTRY_UNKNOWN" }));
    const twice = { ...plan, views: [...plan.views, { ...plan.views[0]!, name: "risk" }] };
    expect(() => findEntry(twice, "risk")).toThrow(expect.objectContaining({ code: "ENTRY_AMBIGUOUS" }));
    expect(findEntry(twice, "risk", "view").kind).toBe("view");
  });
});

describe("lineage", () => {
  it("goes from a source to everything that reads it, with versions", () => {
    const { upstream, downstream, edges } = lineageOf(plan, "payments");
    expect(upstream).toEqual([]);
    expect(downstream.map(({ kind, name }) => [kind, name])).toEqual([
      ["view", "activity"],
      ["view", "notes"],
      ["service", "risk"],
    ]);
    expect(downstream[0]!.version).toBe(plan.views[0]!.version);
    expect(edges.map(({ from, to }) => `${from.name}>${to.name}`)).toEqual([
      "payments>activity",
      "payments>notes",
      "activity>risk",
    ]);
  });

  it("goes from a service back to columns, through views, derives and transforms", () => {
    const { upstream, columns } = lineageOf(plan, "risk");
    expect(upstream.map(({ kind, name }) => [kind, name])).toEqual([
      ["view", "activity"],
      ["source", "payments"],
      ["entity", "card"],
    ]);
    expect(columns.map(({ feature, features, columns: read, request }) => [feature, features, read, request])).toEqual([
      ["asked", [], [], ["asked"]],
      ["abroad", ["activity.abroad"], ["payments.country"], []],
      ["ratio", ["activity.spend"], ["payments.amount"], ["asked"]],
      ["log_spend", ["activity.spend"], ["payments.amount"], []],
    ]);
  });

  it.each([
    ["payments", "amount", ["activity.spend", "risk.ratio", "risk.log_spend"], ["activity", "risk"]],
    ["payments", "country", ["activity.abroad", "risk.abroad"], ["activity", "risk"]],
    ["payments", "note", ["notes.last_note"], ["notes"]],
    ["activity", "n", ["activity.n"], []],
    ["activity", "spend", ["activity.spend", "risk.ratio", "risk.log_spend"], ["risk"]],
    ["risk", "ratio", ["risk.ratio"], []],
  ])("of %s.%s is who reads that column", (name, column, features, downstream) => {
    const lineage = lineageOf(plan, name, undefined, column);
    expect(lineage.columns.map((one) => `${one.name}.${one.feature}`)).toEqual(features);
    expect(lineage.downstream.map((node) => node.name)).toEqual(downstream);
  });

  it("of a key column is everything under that key", () => {
    const { columns } = lineageOf(plan, "payments", undefined, "card_id");
    expect(columns.map((one) => `${one.name}.${one.feature}`)).toEqual([
      "activity.abroad",
      "activity.n",
      "activity.spend",
      "notes.last_note",
      "risk.abroad",
      "risk.ratio",
      "risk.log_spend",
    ]);
  });

  it("refuses a column that is not there", () => {
    for (const name of ["payments", "activity", "risk", "card"]) {
      expect(() => lineageOf(plan, name, undefined, "none")).toThrow(
        expect.objectContaining({ code: "COLUMN_UNKNOWN" }),
      );
    }
  });
});
