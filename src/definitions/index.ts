export {
  type Agg,
  count,
  countDistinct,
  first,
  histogram,
  type Lifetime,
  lastN,
  latest,
  max,
  mean,
  min,
  type NeedsWindow,
  quantile,
  quantiles,
  stddev,
  sum,
  topK,
  variance,
  type Windowed,
} from "./aggregate.ts";
export { CategoricalTransform } from "./categorical-transform.ts";
export { type ColumnType, type InferColumn, type InferSchema, type Schema, t } from "./column-type.ts";
export { fileReplay, httpPush, kafka, kinesis, memory, pubsub, type StreamConnector } from "./connector.ts";
export { derive } from "./derive.ts";
export type { Duration } from "./duration.ts";
export { type Entity, entity } from "./entity.ts";
export { isMillraceError, MillraceError, millraceError } from "./errors.ts";
export type { Expr } from "./expression.ts";
export { type FeatureService, featureService, type InferLookup, type InferRow } from "./feature-service.ts";
export { type FeatureView, featureView } from "./feature-view.ts";
export { avro, decodeWith, type EncodedMessage, type EventFormat, json, protobuf } from "./format.ts";
export { type Label, label } from "./label.ts";
export { type Model, mlflowModel, model, modelFolder, scoringServer } from "./model.ts";
export { NumericTransform } from "./numeric-transform.ts";
export { type Outcome, outcome } from "./outcome.ts";
export { type RequestSource, requestSource } from "./request-source.ts";
export { type Source, streamSource, tableSource } from "./source.ts";
export { csv, parquet } from "./table-files.ts";
