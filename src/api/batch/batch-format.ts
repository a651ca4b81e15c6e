import { apiError } from "../api-errors.ts";

/** A format of rows in a batch's body and answer. */
export type BatchFormat = "json" | "ndjson" | "csv" | "arrow-stream" | "arrow-file" | "parquet";

const TYPES: Readonly<Record<BatchFormat, readonly string[]>> = {
  json: ["application/json"],
  ndjson: ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"],
  csv: ["text/csv"],
  "arrow-stream": ["application/vnd.apache.arrow.stream"],
  "arrow-file": ["application/vnd.apache.arrow.file"],
  parquet: ["application/vnd.apache.parquet", "application/x-parquet"],
};
const FORMATS = Object.keys(TYPES) as BatchFormat[];

/** The Content-Type of an answer in this format. */
export function batchType(format: BatchFormat): string {
  const type = TYPES[format][0]!;
  return format === "json" || format === "csv" ? `${type}; charset=utf-8` : type;
}

/** The format that a Content-Type names. @throws `MEDIA_TYPE_UNSUPPORTED` */
export function contentFormat(header: string | undefined): BatchFormat {
  const format = formatOf(header ?? "");
  if (format !== null) return format;
  throw apiError(
    "MEDIA_TYPE_UNSUPPORTED",
    `The Content-Type '${(header ?? "").slice(0, 100)}' is not read here: send ${FORMATS.map((one) => TYPES[one][0]).join(", ")}.`,
  );
}

/** The best format that an Accept names; that of the request if it leaves it open. @throws `NOT_ACCEPTABLE` */
export function acceptedFormat(header: string | undefined, request: BatchFormat): BatchFormat {
  if (header === undefined || header.trim() === "") return request;
  const ranges = header
    .split(",")
    .map((range) => ({ range, quality: Number(/;\s*q=([\d.]+)/.exec(range)?.[1] ?? 1) }))
    .filter(({ quality }) => quality > 0)
    .sort((a, b) => b.quality - a.quality);
  for (const { range } of ranges) {
    const type = range.split(";", 1)[0]!.trim();
    if (type === "*/*" || type === "application/*") return request;
    const format = formatOf(type);
    if (format !== null) return format;
  }
  throw apiError(
    "NOT_ACCEPTABLE",
    `Answers come as ${FORMATS.map((one) => TYPES[one][0]).join(", ")}, none of which Accept names.`,
  );
}

function formatOf(header: string): BatchFormat | null {
  const type = header.split(";", 1)[0]!.trim().toLowerCase();
  return FORMATS.find((format) => TYPES[format].includes(type)) ?? null;
}
