import type { FittedStep } from "../../definitions/expression.ts";
import type { FitSpec } from "./fitted-state.ts";

/** More categories than this are no categories: what identifies a row teaches nothing, and fills memory. */
export const MAX_CATEGORIES = 1_000_000;

type Json = Readonly<Record<string, unknown>>;

export function isRecord(json: unknown): json is Json {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

/** Whether parsed JSON is what a declared transform can have learned: every number finite, every length as declared. */
export function isFitted(json: unknown, { kind, rule }: FitSpec): boolean {
  if (!isRecord(json) || json.kind !== kind) return false;
  switch (rule.kind) {
    case "step":
      return isFittedStep(json, rule.step);
    case "ordinal": {
      const { encoding } = rule;
      const nulls = encoding.nulls === "category";
      const infrequent = json.infrequent === undefined ? [] : json.infrequent;
      if (!isCategories(json.categories, nulls) || !isCategories(infrequent, nulls)) return false;
      if (new Set([...json.categories, ...infrequent]).size !== json.categories.length + infrequent.length)
        return false;
      const codes = json.categories.length + (json.infrequent === undefined ? 0 : 1);
      return encoding.max_categories === null || codes <= encoding.max_categories;
    }
    case "impute_text":
      return typeof json.value === "string" && (rule.values === null || rule.values.includes(json.value));
    case "frequency": {
      if (!isCategories(json.categories, rule.nulls === "category") || !isNumbers(json.counts)) return false;
      const whole = json.counts.every((count) => Number.isInteger(count) && count > 0);
      const rows = json.counts.reduce((sum, count) => sum + count, 0);
      return (
        whole && json.counts.length === json.categories.length && json.rows === rows && isDistinct(json.categories)
      );
    }
    case "target": {
      const { categories, encodings, means } = json;
      const classes = rule.classes === null ? 1 : rule.classes.length;
      if (!isCategories(categories, rule.nulls === "category") || !isDistinct(categories)) return false;
      if (!isNumbers(means) || means.length !== classes) return false;
      if (!Array.isArray(encodings) || encodings.length !== classes) return false;
      return encodings.every((list) => isNumbers(list) && list.length === categories.length);
    }
  }
}

function isFittedStep(json: Json, step: FittedStep): boolean {
  switch (step.op) {
    case "standardize":
      return isNumber(json.mean) && isPositive(json.stddev);
    case "impute":
      return isNumber(json.value);
    case "min_max":
      return isNumber(json.min) && isNumber(json.max) && json.min <= json.max && Number.isFinite(json.max - json.min);
    case "max_abs":
      return isNumber(json.max_abs) && json.max_abs >= 0;
    case "robust":
      return isNumber(json.center) && isPositive(json.scale);
    case "quantile":
      return isNumbers(json.quantiles) && json.quantiles.length <= step.quantiles && isIncreasing(json.quantiles);
    case "power":
      return isNumber(json.lambda) && isNumber(json.mean) && isPositive(json.stddev);
    case "k_bins":
      return isNumbers(json.edges) && json.edges.length < step.bins && isIncreasing(json.edges);
  }
}

function isNumber(json: unknown): json is number {
  return typeof json === "number" && Number.isFinite(json);
}

function isPositive(json: unknown): boolean {
  return isNumber(json) && json > 0;
}

function isNumbers(json: unknown): json is readonly number[] {
  return Array.isArray(json) && json.length <= MAX_CATEGORIES && json.every(isNumber);
}

function isIncreasing(numbers: readonly number[]): boolean {
  return numbers.every((x, index) => index === 0 || numbers[index - 1]! <= x);
}

function isCategories(json: unknown, nulls: boolean): json is readonly (string | null)[] {
  return (
    Array.isArray(json) &&
    json.length <= MAX_CATEGORIES &&
    json.every((category) => typeof category === "string" || (nulls && category === null))
  );
}

function isDistinct(categories: readonly unknown[]): boolean {
  return new Set(categories).size === categories.length;
}
