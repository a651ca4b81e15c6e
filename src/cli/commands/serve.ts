import { watch } from "node:fs";
import { dirname } from "node:path";
import { millraceError } from "../../definitions/errors.ts";
import { openPlatform, type Platform } from "../../platform.ts";
import { configOf, type GlobalOptions, loggerOf } from "../global-options.ts";

/** Runs until SIGTERM or SIGINT: then drains, makes everything durable, and ends. A second signal ends at once. */
export async function serve(options: GlobalOptions & { readonly ingest?: boolean }): Promise<void> {
  const config = await configOf(options);
  const platform = await openPlatform(config, { log: loggerOf(config.logLevel), ingest: options.ingest ?? true });
  stopOnSignal(async () => platform.close());
  process.stderr.write(`Millrace serves at ${platform.url}\n`);
  await readyOrClose(platform);
  process.stderr.write("Ready.\n");
}

/**
 * As `serve`, and starts anew with changed declarations: the new ones are tried in a process of their own first, so
 * that the old ones go on if they are wrong.
 */
export async function dev(options: GlobalOptions): Promise<void> {
  const { fork } = await import("node:child_process");
  const config = await configOf(options);
  const entry = process.argv[1]!;
  const args = ["--config", options.config];
  let stopping = false;
  let child = fork(entry, [...args, "serve"]);
  const exits = (code: number | null): void => {
    if (!stopping) process.exit(code ?? 1);
  };
  child.on("exit", exits);
  stopOnSignal(async () => {
    stopping = true;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
  });
  let timer: NodeJS.Timeout | null = null;
  const changed = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(() => void restart(), 200);
  };
  async function restart(): Promise<void> {
    const check = fork(entry, [...args, "plan"], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const code = await new Promise<number | null>((resolve) => check.once("exit", resolve));
    if (code !== 0 || stopping) {
      process.stderr.write("The declarations cannot be taken over: the old ones go on.\n");
      return;
    }
    child.off("exit", exits);
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
    child = fork(entry, [...args, "serve"]);
    child.on("exit", exits);
  }
  for (const folder of new Set(config.declarations.map(dirname))) {
    watch(folder, (_event, file) => {
      if (file !== null && /\.[cm]?[jt]s$/.test(file)) changed();
    });
  }
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

function stopOnSignal(stop: () => Promise<void>): void {
  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(130);
      stopping = true;
      void stop().then(() => process.exit(0));
    });
  }
}
