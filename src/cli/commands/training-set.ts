import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { millraceError } from "../../definitions/errors.ts";
import type { ColumnKind, Value } from "../../definitions/value.ts";
import { readTime } from "../../feature_store/lookup.ts";
import { type Frame, readFrame, writeFrame } from "../../feature_store/offline/duckdb-frame.ts";
import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print } from "../global-options.ts";

interface TrainingSetOptions extends GlobalOptions {
  readonly entities: string;
  readonly out: string;
  readonly manifest?: string;
  readonly knowledge: "event_time" | "ingested_at";
}

interface Manifest {
  readonly features: readonly string[];
}
interface JsonAnswer {
  readonly columns: readonly string[];
  readonly types: readonly ColumnKind[];
  readonly rows: readonly (readonly unknown[])[];
  readonly millrace: Manifest;
}

function frameOf({ columns, types, rows }: JsonAnswer): Frame {
  return {
    columns: columns.map((name, i) => ({
      name,
      type: { kind: types[i]!, nullable: true, item: { kind: "string", nullable: true } },
    })),
    rows: rows.map((row) => row.map((value, i) => cellOf(value, types[i]!))),
  };
}

function cellOf(value: unknown, kind: ColumnKind): Value {
  if (value === null) return null;
  if (kind === "timestamp") return readTime(value);
  if (kind === "int64") return BigInt(String(value));
  return value as Value;
}

/** Writes the frame with its features, and `millrace.json` beside it. */
export async function trainingSet(service: string, options: TrainingSetOptions): Promise<void> {
  const format = /\.parquet$/i.test(options.out) ? "parquet" : /\.csv$/i.test(options.out) ? "csv" : null;
  if (format === null) throw millraceError("FILE_FORMAT_UNKNOWN", `--out ${options.out} must end in .parquet or .csv.`);
  const config = await configOf(options);
  const started = performance.now();
  const frame = await readFrame(options.entities);
  process.stderr.write(`${frame.rows.length} rows of ${options.entities}\n`);
  await using connection = await connect(config);
  const body = (as: string): string =>
    JSON.stringify({ service, rows: frame.rows, knowledge: options.knowledge, format: as }, (_name, value: unknown) =>
      typeof value === "bigint" ? String(value) : value,
    );
  const response = await connection.raw("POST", "/v1/features/historical", body(format));
  const header = response.headers.get("millrace-manifest");
  let manifest: Manifest;
  if (header !== null) {
    manifest = JSON.parse(Buffer.from(header, "base64url").toString("utf8")) as Manifest;
    await writeFile(options.out, new Uint8Array(await response.arrayBuffer()));
  } else {
    // What was fitted is too long for a header: the answer in JSON holds both.
    await response.body?.cancel();
    const answer = (await (await connection.raw("POST", "/v1/features/historical", body("json"))).json()) as JsonAnswer;
    manifest = answer.millrace;
    await writeFrame(options.out, frameOf(answer));
  }
  const manifestFile = options.manifest ?? join(dirname(options.out), "millrace.json");
  await writeFile(manifestFile, `${JSON.stringify(manifest, null, 2)}\n`);
  const seconds = (performance.now() - started) / 1_000;
  print(
    options,
    { rows: frame.rows.length, features: manifest.features.length, out: options.out, manifest: manifestFile, seconds },
    () =>
      `${options.out}: ${frame.rows.length} rows, ${manifest.features.length} features\n${manifestFile}: what the model's folder must carry\nin ${seconds.toFixed(1)} s`,
  );
}
