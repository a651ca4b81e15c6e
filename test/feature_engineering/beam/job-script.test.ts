import { expect, test } from "vitest";
import { count, entity, featureView, memory, streamSource, t } from "../../../src/definitions/index.ts";
import { jobScript } from "../../../src/feature_engineering/beam/job-script.ts";
import { collectDeclarations } from "../../../src/feature_engineering/plan/collect-declarations.ts";
import { compilePlan, type Plan } from "../../../src/feature_engineering/plan/plan.ts";

const clicks = streamSource("clicks", {
  stream: memory(),
  eventTime: "at",
  lateness: "1m",
  schema: { user: t.string(), page: t.string(), at: t.timestamp() },
});
const user = entity("user", { user: t.string() });

function planOf(where: (row: { page: string }) => boolean): Plan {
  const view = featureView("clicking", {
    source: clicks,
    entity: user,
    features: { n: count().where({ page: clicks.page }, where).over("1h") },
  });
  return compilePlan(collectDeclarations({ view }));
}

test("a plan's functions are part of the script of its job", () => {
  const script = jobScript(
    "var millrace = { open: (plan, settings, functions) => Object.values(functions) };",
    planOf(({ page }) => page === "home"),
  );
  const [where] = new Function(`${script}; return openJob("", "");`)() as ((row: object) => boolean)[];
  expect(where!({ page: "home" })).toBe(true);
  expect(where!({ page: "away" })).toBe(false);
});

test.each([
  ["normalize", ({ page }: { page: string }) => page.normalize("NFC") === "é"],
  ["a class of characters", ({ page }: { page: string }) => /\p{Lu}/u.test(page)],
])("a function with %s is refused: the workers would compute something else", (_what, where) => {
  expect(() => jobScript("", planOf(where))).toThrow(/Unicode's tables/);
});
