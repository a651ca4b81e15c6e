import type { Value } from "../../definitions/value.ts";
import { type Moments, meanOfMoments, moments2, sumOfMoments, varianceOfMoments } from "../aggregations/moments.ts";
import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import { type Category, readCategory, sortCategories, writeCategory } from "./category.ts";
import { type FitPlace, fitOverflow, fitTooLarge } from "./fit-error.ts";
import { MAX_CATEGORIES } from "./fitted-shape.ts";
import type { FitRule, FittedTarget } from "./fitted-state.ts";
import type { Learner } from "./learner.ts";

type Rule = Extract<FitRule, { kind: "target" }>;

/** The labels of some rows: of a number or a bool one column of moments, of listed texts one per text. */
type Labels = Moments[];

/**
 * Learns the mean label of each category, drawn towards the overall mean, and the same without each fold's own rows.
 * All sums are exact, so that taking a fold away loses nothing.
 *
 * Source: D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes" (2001), equations 5 to 7.
 */
export function createTargetLearner(rule: Rule, place: FitPlace): Learner {
  const width = rule.classes === null ? 1 : rule.classes.length;
  const create = (): Labels => Array.from({ length: width }, () => moments2.create());
  const overall = Array.from({ length: rule.folds }, create);
  const categories = new Map<Category, (Labels | undefined)[]>();
  let kept = 0;

  /** The labels of a category's rows in a fold. */
  const labelsOf = (category: Category, fold: number): Labels => {
    let folds = categories.get(category);
    if (folds === undefined) {
      folds = new Array<Labels | undefined>(rule.folds);
      categories.set(category, folds);
    }
    let labels = folds[fold];
    if (labels === undefined) {
      if (++kept > MAX_CATEGORIES) throw fitTooLarge(place);
      labels = create();
      folds[fold] = labels;
    }
    return labels;
  };

  const tableWithout = (fold: number | null): FittedTarget => {
    const others = (folds: readonly (Labels | undefined)[]): Labels => {
      const merged = create();
      for (let other = 0; other < rule.folds; other++) {
        const labels = other === fold ? undefined : folds[other];
        if (labels === undefined) continue;
        for (const [column, moments] of merged.entries()) moments2.merge(moments, labels[column]!);
      }
      return merged;
    };
    const all = others(overall).map((moments) => summary(moments, place));
    const names = sortCategories(categories.keys());
    const encodings = all.map(() => new Array<number>(names.length));
    for (const [index, name] of names.entries()) {
      const labels = others(categories.get(name)!);
      for (let column = 0; column < width; column++) {
        encodings[column]![index] = encode(labels[column]!, all[column]!, rule.smooth, place);
      }
    }
    return { kind: "target", categories: names, encodings, means: all.map(({ mean }) => mean) };
  };

  return {
    add(value, label, row) {
      const fold = row % rule.folds;
      if (value === null && rule.nulls === "null") {
        if (label !== null) addLabel(overall[fold]!, label, rule.classes);
        return;
      }
      if (label === null) return;
      addLabel(overall[fold]!, label, rule.classes);
      addLabel(labelsOf(value as Category, fold), label, rule.classes);
    },
    encode(out) {
      for (const labels of overall) writeLabels(labels, out);
      out.varint(categories.size);
      for (const category of sortCategories(categories.keys())) {
        writeCategory(category, out);
        const folds = [...categories.get(category)!.entries()].filter(([, labels]) => labels !== undefined);
        out.varint(folds.length);
        for (const [fold, labels] of folds) {
          out.varint(fold);
          writeLabels(labels!, out);
        }
      }
    },
    merge(input) {
      for (const labels of overall) mergeLabels(labels, input);
      for (let left = input.varint(); left > 0; left--) {
        const category = readCategory(input);
        for (let folds = input.varint(); folds > 0; folds--) mergeLabels(labelsOf(category, input.varint()), input);
      }
    },
    finish: () => tableWithout(null),
    finishFolds: () => Array.from({ length: rule.folds }, (_, fold) => tableWithout(fold)),
  };
}

function writeLabels(labels: Labels, out: ByteWriter): void {
  for (const moments of labels) moments2.encode(moments, out);
}

function mergeLabels(labels: Labels, input: ByteReader): void {
  for (const moments of labels) moments2.merge(moments, moments2.decode(input));
}

function addLabel(labels: Labels, label: Value, classes: readonly string[] | null): void {
  if (classes === null) moments2.add(labels[0]!, Number(label));
  else
    for (let column = 0; column < classes.length; column++)
      moments2.add(labels[column]!, label === classes[column] ? 1 : 0);
}

interface Summary {
  readonly mean: number;
  readonly variance: number;
}

/** The mean and the population's variance; 0 without labels. */
function summary(moments: Moments, place: FitPlace): Summary {
  if (moments.n === 0) return { mean: 0, variance: 0 };
  const mean = meanOfMoments(moments);
  const variance = moments.n === 1 ? 0 : varianceOfMoments(moments);
  if (mean === null || variance === null) throw fitOverflow(place, "the mean or variance of its label", "target");
  return { mean: mean + 0, variance: moments.n === 1 ? 0 : variance * ((moments.n - 1) / moments.n) };
}

function encode(labels: Moments, all: Summary, smooth: "auto" | number, place: FitPlace): number {
  if (labels.n === 0) return all.mean;
  const { mean, variance } = summary(labels, place);
  if (smooth !== "auto") return (smooth * all.mean + sumOfMoments(labels)!) / (labels.n + smooth) + 0;
  const weight = (all.variance * labels.n) / (all.variance * labels.n + variance);
  // 0 / 0: neither the label nor the category varies.
  return Number.isNaN(weight) ? all.mean : weight * mean + (1 - weight) * all.mean + 0;
}
