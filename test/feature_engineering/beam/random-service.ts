import fc from "fast-check";
import { type AnyExpr, expr } from "../../../src/definitions/expression.ts";
import type { FeatureServiceMeta } from "../../../src/definitions/feature-service.ts";
import type { FeatureViewMeta } from "../../../src/definitions/feature-view.ts";
import {
  CategoricalTransform,
  derive,
  featureService,
  label,
  NumericTransform,
  requestSource,
  t,
} from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";

/** A service over random views, and a training frame for it. */
export interface RandomService {
  readonly service: FeatureServiceMeta;
  readonly frame: readonly Readonly<Record<string, unknown>>[];
}

const request = requestSource({ x: t.float64().nullable(), note: t.string().nullable() });
const won = label("won", t.float64());
const outcome = label("outcome", t.oneOf("late", "lost", "paid"));

// Types cannot follow what is chosen at random.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Any = any;
const number = (input: AnyExpr): Any => NumericTransform.of(input as never);
const text = (input: AnyExpr): Any => CategoricalTransform.of(input as never);

type Make = (input: AnyExpr) => AnyExpr;
const NUMERIC: readonly Make[] = [
  (x) => x,
  (x) => number(x).standardize(),
  (x) => number(x).impute("mean"),
  (x) => number(x).impute("median").standardize(),
  (x) => number(x).impute("most_frequent"),
  (x) => number(x).minMax({ clip: true }),
  (x) => number(x).maxAbs().minMax(),
  (x) => number(x).robust({ unitVariance: true }),
  (x) => number(x).log1p().quantile({ quantiles: 7, output: "normal" }),
  (x) => number(x).clip(-100, 100).power(),
  (x) => number(x).power({ method: "box_cox", standardize: false }),
  (x) => number(x).kBins(3, { strategy: "uniform" }),
  (x) => number(x).kBins(4, { quantileMethod: "linear", encode: "one_hot" }),
  (x) => number(x).clip(-1_000, 1_000).kBins(3, { strategy: "kmeans" }),
  (x) =>
    number(
      derive({ s: number(x).standardize() as AnyExpr<number | null> }, t.float64().nullable(), ({ s }) =>
        s === null ? null : s * 3,
      ),
    ).standardize(),
];
const TEXTUAL: readonly Make[] = [
  (x) => x,
  (x) => text(x).ordinal(),
  (x) => text(x).ordinal({ minFrequency: 2, unknown: "infrequent", nulls: "category" }),
  (x) => text(x).oneHot({ maxCategories: 3, unknown: "infrequent" }),
  (x) => text(x).impute("most_frequent").frequency(),
  (x) => text(x).frequency({ relative: true, nulls: "category" }),
  (x) => text(x).target(won, { folds: 3 }),
  (x) => number(text(x).target(won, { folds: 2, smooth: 1.5, nulls: "category" })).standardize(),
  (x) => text(x).target(outcome, { folds: 2 }),
  (x) => text(x).hash(8),
  (x) =>
    text(
      // Half of a pair of surrogates, which no UTF-8 has.
      derive({ word: x as AnyExpr<string | null> }, t.string().nullable(), ({ word }) =>
        word === null ? null : word.slice(0, 1),
      ),
    ).ordinal(),
];

export interface RandomServiceOptions {
  readonly views: readonly FeatureViewMeta[];
  readonly name: string;
  /** The moments of rows end here, epoch milliseconds. */
  readonly end: number;
  readonly maxRows: number;
}

interface Choices {
  readonly features: readonly { readonly pick: number; readonly make: number; readonly other: boolean }[];
  readonly requests: boolean;
  readonly rows: readonly (readonly [
    user: string | null,
    other: string | null,
    shop: number | null,
    x: number | null,
    note: string | null,
    before: number,
    won: number | null,
    outcome: string,
  ])[];
}

const choices = (maxRows: number): fc.Arbitrary<Choices> =>
  fc.record({
    features: fc.array(fc.record({ pick: fc.nat(), make: fc.nat(), other: fc.boolean() }), {
      minLength: 1,
      maxLength: 7,
    }),
    requests: fc.boolean(),
    rows: fc.array(
      fc.tuple(
        fc.constantFrom("a", "b", "ü", "日本", "nobody", null),
        fc.constantFrom("a", "b", null),
        fc.constantFrom(1, 2, -7, 99, null),
        fc.oneof(
          fc.constant(null),
          fc.integer({ min: -50, max: 50 }).map((x) => x / 4 + 0),
        ),
        fc.constantFrom("x", "größe", "😀", "😁", "", null),
        fc.oneof(
          fc.nat(600_000),
          fc.nat(3 * 86_400_000),
          fc.nat(10).map((n) => n * 60_000),
        ),
        fc.oneof(fc.constant(null), fc.integer({ min: -5, max: 5 })),
        fc.constantFrom("late", "lost", "paid"),
      ),
      { maxLength: maxRows },
    ),
  });

/** A service with random transforms of random features of the views, some looked up in another role too. */
export function randomService({ views, name, end, maxRows }: RandomServiceOptions): fc.Arbitrary<RandomService> {
  const inputs = views.flatMap((view) => view.features.map((feature) => ({ view, feature })));
  return choices(maxRows).map(({ features, requests, rows }) => {
    const made: Record<string, AnyExpr> = {};
    for (const [index, { pick, make, other }] of features.entries()) {
      const { view, feature } = inputs[pick % inputs.length]!;
      const hasUser = view.entity.keys.some((key) => key.name === "user");
      const input = expr({
        op: "feature",
        view,
        feature: feature.name,
        type: feature.type,
        keys: other && hasUser ? { user: "other" } : {},
      });
      made[`f${index}`] = transformed(input, make);
    }
    if (requests) {
      made.x = NUMERIC[1]!(request.x);
      made.note = TEXTUAL[10]!(request.note);
    }
    const { [Meta]: service } = featureService(name, { features: made as never }) as unknown as {
      readonly [Meta]: FeatureServiceMeta;
    };
    const frame = rows.map(([user, other, shop, x, note, before, ownWon, ownOutcome]) => {
      const all: Readonly<Record<string, unknown>> = { user, other, shop, x, note };
      const looked = service.lookup.map((column) => [column.name, all[column.name]]);
      return { ...Object.fromEntries(looked), event_timestamp: end - before, won: ownWon, outcome: ownOutcome };
    });
    return { service, frame };
  });
}

function transformed(input: AnyExpr, make: number): AnyExpr {
  const { kind } = input.expression.type;
  const list =
    kind === "string" || kind === "one_of"
      ? TEXTUAL
      : kind === "float64" || kind === "int32" || kind === "int64"
        ? NUMERIC
        : [];
  return list.length === 0 ? input : list[make % list.length]!(input);
}
