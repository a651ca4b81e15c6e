import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ResolvedConfig } from "../config.ts";
import { millraceError } from "../definitions/errors.ts";
import { type DataFolderOwner, readOwner } from "../process-file.ts";
import { type GlobalOptions, loggerOf } from "./global-options.ts";
import { type HttpAnswer, type HttpTarget, httpRequest } from "./http-request.ts";

/** A Millrace to ask: the process that owns the data folder, or one that this command opened. */
export interface Connection extends AsyncDisposable {
  readonly url: string;
  /** Asks a route and gives the parsed answer. A problem becomes the error that it describes. */
  ask<T>(method: string, path: string, body?: unknown): Promise<T>;
  raw(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<HttpAnswer>;
}

export interface ConnectOptions {
  /** Events will be pushed: then sources must run. Files are held back. Default false. */
  readonly pushes?: boolean;
  /** Nothing has to be stored yet. Default false. */
  readonly mayBeEmpty?: boolean;
}

/**
 * With one process on the data folder talks to it over HTTP, else opens the stores itself, on a port that only this
 * machine sees; files are not replayed then.
 * @throws `NOTHING_STORED` if nothing was ever ingested here, and what `openPlatform` throws
 */
export async function connect(
  config: ResolvedConfig,
  options: GlobalOptions,
  { pushes = false, mayBeEmpty = false }: ConnectOptions = {},
): Promise<Connection> {
  const owner = await readOwner(config.data);
  if (owner !== null) return connection(addressOf(config, owner), async () => {});
  if (!mayBeEmpty && !existsSync(join(config.data, "cold.duckdb"))) {
    throw millraceError(
      "NOTHING_STORED",
      `The data folder ${config.data} holds nothing yet: run millrace dev, serve or replay first.`,
    );
  }
  const { openPlatform } = await import("../platform.ts");
  const platform = await openPlatform(
    {
      ...config,
      // Whoever may run this command may ask as much as it likes.
      server: { host: "127.0.0.1", port: 0, bodyLimitBytes: 2 ** 31 - 1, maxRows: 1e7 },
      replay: { speed: "max", hold: true },
    },
    { log: loggerOf(options.debug === true ? "debug" : "silent"), ingest: pushes },
  );
  try {
    await platform.ready();
  } catch (error) {
    await platform.close();
    throw error;
  }
  return connection(platform, () => platform.close());
}

/** The process that serves from a data folder, or null. */
export async function runningServer(config: ResolvedConfig): Promise<(Connection & { readonly pid: number }) | null> {
  const owner = await readOwner(config.data);
  if (owner === null) return null;
  return { ...connection(addressOf(config, owner), async () => {}), pid: owner.pid };
}

function addressOf(config: ResolvedConfig, { pid, url, token }: DataFolderOwner): HttpTarget {
  if (url !== null) return { url, token };
  throw millraceError(
    "DATA_FOLDER_IN_USE",
    `Process ${pid} has the data folder ${config.data} and does not serve: it is starting, or another command. Try again when it is done.`,
    { kind: "operational", details: { pid } },
  );
}

function connection(target: HttpTarget, close: () => Promise<void>): Connection {
  return {
    url: target.url,
    raw: (method, path, body, headers) => httpRequest(target, method, path, body, headers),
    ask: async <T>(method: string, path: string, body?: unknown) =>
      JSON.parse((await httpRequest(target, method, path, body)).body.toString("utf8")) as T,
    [Symbol.asyncDispose]: close,
  };
}
