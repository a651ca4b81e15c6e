import { expectTypeOf } from "expect-type";
import {
  CategoricalTransform,
  featureService,
  type InferLookup,
  type InferRow,
  label,
  NumericTransform,
  requestSource,
  t,
} from "../../src/definitions/index.ts";

const request = requestSource({
  amount: t.float64(),
  maybe: t.float64().nullable(),
  count: t.int64(),
  country: t.string().nullable(),
  channel: t.oneOf("chip", "online"),
});
const fraud = label("fraud", t.bool());
const outcome = label("outcome", t.oneOf("paid", "late", "lost"));
const paid = label("paid_amount", t.float64().nullable());
const number = NumericTransform.of(request.maybe);
const country = CategoricalTransform.of(request.country);
const channel = CategoricalTransform.of(request.channel);

// What must compile, and what the row then holds.
const service = featureService("transformed", {
  features: {
    scaled: number.minMax({ range: [-1, 1], clip: true }),
    filled: number
      .impute("median")
      .maxAbs({ clip: true })
      .robust({ percentiles: [10, 90], unitVariance: true }),
    rank: number.quantile({ quantiles: 100, output: "normal" }),
    power: NumericTransform.of(request.count).power({ method: "box_cox", standardize: false }),
    bin: number.kBins(5, { strategy: "kmeans" }),
    bins: number.kBins(3, { encode: "one_hot" }),
    home: country.oneHot(["BE", "NL"], { nulls: "category", unknown: "error" }),
    top: country.oneHot({ maxCategories: 3, minFrequency: 0.01, unknown: "infrequent" }),
    code: country.ordinal({ maxCategories: 10, nulls: -2 }),
    known: channel.ordinal(["online", "chip"], { unknown: null }),
    often: country.frequency({ relative: true }),
    seen: country.frequency({ nulls: "category" }),
    risk: country.target(fraud),
    spent: channel.target(paid, { smooth: 10, folds: 3 }),
    ends: country.target(outcome, { nulls: "category" }),
    bucket: channel.hash(16, { algorithm: "murmur3_32" }),
    hashed: country.hashColumns(2, { signed: false }),
    text: country.impute("most_frequent"),
  },
});
expectTypeOf<InferRow<typeof service>>().toEqualTypeOf<{
  scaled: number | null;
  filled: number;
  rank: number | null;
  power: number;
  bin: number | null;
  bins_0: number;
  bins_1: number;
  bins_2: number;
  home_BE: number;
  home_NL: number;
  home_null: number;
  top_0: number;
  top_1: number;
  top_2: number;
  code: number;
  known: number | null;
  often: number | null;
  seen: number;
  risk: number | null;
  spent: number;
  ends_paid: number;
  ends_late: number;
  ends_lost: number;
  bucket: number;
  hashed_0: number;
  hashed_1: number;
  text: string;
}>();
// A label comes with the training frame, never with a request.
expectTypeOf<InferLookup<typeof service>>().toEqualTypeOf<{
  maybe: number | null;
  count: bigint;
  country: string | null;
  channel: "chip" | "online";
}>();

// As many columns as there may be.
country.hashColumns(512);

// What must not compile.
// @ts-expect-error a text has no mean
country.impute("mean");
// @ts-expect-error no such strategy
number.impute("mode");
// @ts-expect-error a number has no categories
number.oneHot(["a"]);
// @ts-expect-error a range has two ends
number.minMax({ range: [0] });
// @ts-expect-error no such distribution
number.quantile({ output: "gaussian" });
// @ts-expect-error no such method
number.power({ method: "yeo-johnson" });
// @ts-expect-error the number of bins is needed
number.kBins({ strategy: "uniform" });
// @ts-expect-error several columns cannot be transformed further
number.kBins(3, { encode: "one_hot" }).standardize();
// @ts-expect-error what is fitted needs a number of columns
country.oneHot({ minFrequency: 2 });
// @ts-expect-error a text without a list has none to make columns of
featureService("bad", { features: { x: country.oneHot() } }) satisfies { readonly "~row"?: { x_BE: number } };
// @ts-expect-error an unknown category has a number, null or one of two words
country.ordinal({ unknown: "ignore" });
// @ts-expect-error a target is a label, not a column of a request
country.target(request.amount);
// @ts-expect-error nor a name
country.target("fraud");
// @ts-expect-error a list is no label
label("words", t.list(t.string()));
// @ts-expect-error a moment is no label
label("at", t.timestamp());
// @ts-expect-error no such algorithm
channel.hash(16, { algorithm: "md5" });
