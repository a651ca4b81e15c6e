import type { ModelMeta } from "../definitions/model.ts";
import type { Value } from "../definitions/value.ts";
import type { ServiceColumn } from "../feature_engineering/plan/service-columns.ts";
import type { Prediction, WholePrediction } from "./models/model-host.ts";
import type { PredictionRow } from "./models/model-output.ts";
import { compileObjectJson, timeJson } from "./value-json.ts";

export type PredictionWriter = (prediction: Prediction, withFeatures: boolean) => string;
export type WholeWriter = (whole: WholePrediction, asOf: number) => string;

/** Compiles how answers of a model are written as JSON; `columns` are those of its service. */
export function compilePredictionJson(model: ModelMeta, columns: readonly ServiceColumn[]): PredictionWriter {
  const outputJson = compileObjectJson<PredictionRow>(model.output, (row, name) => row[name]);
  const featuresJson = compileObjectJson<readonly Value[]>(columns, (row, _name, index) => row[index]);
  const statusesJson = compileObjectJson<readonly string[]>(columns, (row, _name, index) => row[index]);
  const start = `{"model":${JSON.stringify(model.name)},"version":`;
  let lastAsOf: number | null = null;
  let lastTime = "null";
  return ({ version, asOf, predictions, headOverlap, features, fallback }, withFeatures) => {
    // Requests of one turn have one moment.
    if (asOf !== lastAsOf) {
      lastAsOf = asOf;
      lastTime = asOf === null ? "null" : timeJson(asOf);
    }
    let json = `${start}${JSON.stringify(version)},"as_of":${lastTime},"predictions":[`;
    for (let i = 0; i < predictions.length; i++) json += (i === 0 ? "" : ",") + outputJson(predictions[i]!);
    json += "]";
    if (fallback) json += ',"fallback":true';
    if (headOverlap.includes(true)) json += `,"head_overlap":${JSON.stringify(headOverlap)}`;
    if (withFeatures && features !== null) {
      json += `,"features":[${features.rows.map(featuresJson).join(",")}]`;
      json += `,"statuses":[${features.statuses.map(statusesJson).join(",")}]`;
    }
    return `${json}}`;
  };
}

/** Compiles how answers to rows that came whole are written: as `write` does, and numbers without objects of them. */
export function compileWholeJson(model: ModelMeta, write: PredictionWriter): WholeWriter {
  const starts = model.output.map(({ name }, i) => `${i === 0 ? "{" : ","}${JSON.stringify(name)}:`);
  return ({ model: name, version, answers, fallback }, asOf) => {
    const prediction = {
      model: name,
      version,
      predictions: answers.kind === "rows" ? answers.rows : [],
      features: null,
      asOf: fallback ? null : asOf,
      headOverlap: [],
      fallback,
      id: null,
    };
    const json = write(prediction, false);
    if (answers.kind === "rows") return json;
    const { values, width } = answers.answers;
    let rows = "";
    for (let at = 0; at < values.length; at += width) {
      if (at > 0) rows += ",";
      for (let output = 0; output < width; output++) {
        const value = values[at + output]!;
        rows += starts[output]! + (Number.isFinite(value) ? String(value + 0) : "null");
      }
      rows += "}";
    }
    // Answers in a matrix are no fallback, so that nothing follows their list.
    return `${json.slice(0, -2)}${rows}]}`;
  };
}
