import { millraceError } from "../../definitions/errors.ts";
import { openPlatform, type Platform } from "../../platform.ts";
import { configOf, type GlobalOptions, loggerOf } from "../global-options.ts";
import { stopOnSignal } from "../stop-on-signal.ts";

/** Runs until SIGTERM or SIGINT: then drains, makes everything durable, and ends. A second signal ends at once. */
export async function serve(options: GlobalOptions & { readonly ingest?: boolean }): Promise<void> {
  const config = await configOf(options);
  const platform = await openPlatform(config, { log: loggerOf(config.logLevel), ingest: options.ingest ?? true });
  stopOnSignal(async () => platform.close());
  process.stderr.write(`Millrace serves at ${platform.url}\n`);
  await readyOrClose(platform);
  process.stderr.write("Ready.\n");
}

/** On the embedded stores one process does everything. */
export function ingest(): never {
  throw millraceError(
    "INGEST_NEEDS_SHARED_STORES",
    "`ingest` and `serve` as separate processes need stores that processes share: the embedded stores (LMDB, DuckDB) belong to one process. Run `millrace serve`, which ingests too.",
  );
}

async function readyOrClose(platform: Platform): Promise<void> {
  try {
    await platform.ready();
  } catch (error) {
    await platform.close();
    throw error;
  }
}
