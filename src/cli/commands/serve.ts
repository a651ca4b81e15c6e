import { millraceError } from "../../definitions/errors.ts";
import { openPlatform, type Platform } from "../../platform.ts";
import { areShared } from "../../store-config.ts";
import { configOf, type GlobalOptions, loggerOf } from "../global-options.ts";
import { stopOnSignal } from "../stop-on-signal.ts";

/** Runs until SIGTERM or SIGINT: then drains, makes everything durable, and ends. A second signal ends at once. */
export async function serve(options: GlobalOptions & { readonly ingest?: boolean }): Promise<void> {
  const config = await configOf(options);
  // With shared stores `ingest` reads the sources, and a process that serves may come and go beside it.
  const platform = await openPlatform(config, {
    log: loggerOf(config.logLevel),
    ingest: options.ingest ?? !areShared(config),
  });
  stopOnSignal(async () => platform.close());
  process.stderr.write(`Millrace serves at ${platform.url}\n`);
  await readyOrClose(platform);
  process.stderr.write("Ready.\n");
}

/** Reads the sources and folds, beside processes that serve. */
export async function ingest(options: GlobalOptions): Promise<void> {
  const config = await configOf(options);
  if (!areShared(config)) {
    throw millraceError(
      "INGEST_NEEDS_SHARED_STORES",
      "`ingest` and `serve` as separate processes need stores that processes share: Redis and PostgreSQL (online and offline in the configuration). Embedded stores (LMDB, DuckDB) belong to one process: run `millrace serve`, which ingests too.",
    );
  }
  await serve({ ...options, ingest: true });
}

async function readyOrClose(platform: Platform): Promise<void> {
  try {
    await platform.ready();
  } catch (error) {
    await platform.close();
    throw error;
  }
}
