import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { millraceError } from "../../definitions/errors.ts";
import { readFrame } from "../../feature_store/offline/duckdb-frame.ts";
import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print } from "../global-options.ts";

interface TrainingSetOptions extends GlobalOptions {
  readonly entities: string;
  readonly out: string;
  readonly manifest?: string;
  readonly knowledge: "event_time" | "ingested_at";
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
  const body = JSON.stringify(
    { service, rows: frame.rows, knowledge: options.knowledge, format },
    (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value),
  );
  const response = await connection.raw("POST", "/v1/features/historical", body);
  const manifest = JSON.parse(
    Buffer.from(response.headers.get("millrace-manifest") ?? "", "base64url").toString("utf8"),
  ) as { readonly features: readonly string[] };
  const manifestFile = options.manifest ?? join(dirname(options.out), "millrace.json");
  await writeFile(options.out, new Uint8Array(await response.arrayBuffer()));
  await writeFile(manifestFile, `${JSON.stringify(manifest, null, 2)}\n`);
  const seconds = (performance.now() - started) / 1_000;
  print(
    options,
    { rows: frame.rows.length, features: manifest.features.length, out: options.out, manifest: manifestFile, seconds },
    () =>
      `${options.out}: ${frame.rows.length} rows, ${manifest.features.length} features\n${manifestFile}: what the model's folder must carry\nin ${seconds.toFixed(1)} s`,
  );
}
