import type { ResolvedConfig } from "../../config/config.ts";
import { resolveServing } from "../../config/serving-config.ts";
import { areShared } from "../../config/store-config.ts";
import { millraceError } from "../../definitions/errors.ts";
import { debugOnSignal } from "../../monitoring/logging/open-log.ts";
import { openPlatform, type Platform } from "../../platform.ts";
import { openProcessGroup } from "../../processes/process-group.ts";
import { configOf, type GlobalOptions, loggerOf } from "../global-options.ts";
import { stopOnSignal } from "../stop-on-signal.ts";

interface ServeOptions extends GlobalOptions {
  readonly ingest?: boolean;
  /** `auto` or a whole number, as in `server.processes`, over which it wins. */
  readonly processes?: string;
}

/** Runs until SIGTERM or SIGINT: then drains, makes everything durable, and ends. A second signal ends at once. */
export async function serve(options: ServeOptions): Promise<void> {
  const config = withProcesses(await configOf(options), options.processes);
  if (config.server.processes > 1) return serveByGroup(config, options);
  // With shared stores `ingest` reads the sources, and a process that serves may come and go beside it.
  const log = loggerOf(config);
  debugOnSignal(log);
  const platform = await openPlatform(config, {
    log,
    ingest: options.ingest ?? !areShared(config),
  });
  stopOnSignal(async () => platform.close());
  // Without TLS there is nothing to read again, and the signal ends the process as it ends any.
  if (config.server.tls !== null) process.on("SIGHUP", () => void platform.reloadCertificate());
  process.stderr.write(`Millrace serves at ${platform.url}\n`);
  await readyOrClose(platform);
  process.stderr.write("Ready.\n");
}

/** As `serve`, by several processes; SIGHUP replaces them one by one. */
async function serveByGroup(config: ResolvedConfig, options: ServeOptions): Promise<void> {
  const log = loggerOf(config);
  debugOnSignal(log);
  const group = await openProcessGroup(config, { log, ingest: options.ingest ?? !areShared(config) });
  stopOnSignal(() => group.close());
  process.on("SIGUSR2", () => {
    for (const pid of group.pids) process.kill(pid, "SIGUSR2");
  });
  process.on("SIGHUP", () => {
    const renewed = group.reloadCertificate().then(() => group.recycle());
    renewed.catch((error: unknown) => log.error({ err: error }, "could not replace the serving processes"));
  });
  process.stderr.write(`Millrace serves at ${group.url} by ${group.pids.length} processes\n`);
  await readyOrClose(group);
  process.stderr.write("Ready.\n");
}

function withProcesses(config: ResolvedConfig, processes: string | undefined): ResolvedConfig {
  if (processes === undefined) return config;
  const { processes: wanted } = resolveServing({}, { MILLRACE_PROCESSES: processes });
  return { ...config, server: { ...config.server, processes: wanted } };
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
  await serve({ ...options, ingest: true, processes: "1" });
}

async function readyOrClose(platform: Pick<Platform, "ready" | "close">): Promise<void> {
  try {
    await platform.ready();
  } catch (error) {
    await platform.close();
    throw error;
  }
}
