import type { EntityReading } from "../feature_store/cached-reader.ts";
import type { OnlineFeatures } from "../feature_store/feature-store.ts";
import type { ServiceRuntime } from "../feature_store/service-runtime.ts";
import { madeOnce } from "./made-once.ts";
import { rowsJson, timeJson, valueJson } from "./value-json.ts";

/** Writes what was read of one service as the JSON of `POST /v1/features/online`. */
export type OnlineJson = (read: OnlineFeatures) => string;

/** Compiles the answer's writer. Rows of one view's features, unchanged, are kept as text with their readings. */
export function compileOnlineJson(service: ServiceRuntime): OnlineJson {
  const { columns } = service.row;
  const names = JSON.stringify(columns.map(({ name }) => name));
  const types = JSON.stringify(columns.map(({ type }) => type.kind));
  const start = `{"service":${JSON.stringify(service.service.name)},"as_of":`;
  const middle = `,"columns":${names},"types":${types},"rows":[`;
  const isOneView = service.isPlain && service.lookups.length === 1;
  const features = service.columnReads.map((read) => read?.feature ?? -1);
  const make = ({ values, statuses }: EntityReading): string[] => [
    `[${features.map((feature, column) => valueJson(values[feature]!, columns[column]!.type)).join(",")}]`,
    JSON.stringify(features.map((feature) => statuses[feature]!)),
  ];

  return (read) => {
    let rows: string;
    let statuses: string;
    if (isOneView) {
      const texts = read.readings.map((reading) => madeOnce(reading, make));
      rows = texts.map((text) => text[0]!).join(",");
      statuses = `[${texts.map((text) => text[1]!).join(",")}]`;
    } else {
      rows = rowsJson(read.rows, columns).slice(1, -1);
      statuses = JSON.stringify(read.statuses);
    }
    const overlap = read.headOverlap.includes(true) ? `,"head_overlap":${JSON.stringify(read.headOverlap)}` : "";
    return `${start}${timeJson(read.asOf)}${middle}${rows}],"statuses":${statuses}${overlap}}`;
  };
}
