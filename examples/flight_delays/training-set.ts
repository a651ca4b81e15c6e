/**
 * Makes the training set of the example's model: February's flights with their features as they were at each one's
 * prediction time, and `millrace.json`, which travels with the model:
 *
 *     npx node examples/flight_delays/training-set.ts <folder>
 *     python examples/flight_delays/train.py <folder>/training-set.parquet
 *
 * The same data gives the same rows and the same `millrace.json`.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pino from "pino";
import { loadConfig } from "../../src/config/resolve-config.ts";
import { openPlatform } from "../../src/platform.ts";
import { readFlights } from "./replay/flights.ts";

const folder = process.argv[2];
if (folder === undefined) {
  process.stderr.write("usage: npx node examples/flight_delays/training-set.ts <folder>\n");
  process.exit(2);
}
const data = await mkdtemp(join(tmpdir(), "millrace-training-set-"));
try {
  const config = await loadConfig(fileURLToPath(new URL("millrace.config.ts", import.meta.url)), {
    MILLRACE_DATA: data,
    MILLRACE_PORT: "0",
  });
  await using platform = await openPlatform(config, { log: pino({ level: "warn" }) });
  await platform.ready();
  await platform.worker.release();
  await platform.worker.finished();
  const rows = readFlights("2013-02").map(({ time, lookup, late }) => ({
    ...lookup,
    event_timestamp: new Date(time).toISOString(),
    late,
  }));
  const { bytes, manifest } = await platform.worker.trainingSet("flight_delay_v1", { rows }, "parquet");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "training-set.parquet"), bytes!);
  await writeFile(join(folder, "millrace.json"), `${JSON.stringify(manifest, null, 1)}\n`);
  process.stdout.write(`${manifest.rows} rows of ${manifest.features.length} features in ${folder}\n`);
} finally {
  await rm(data, { recursive: true, force: true });
}
