import { existsSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { BATCH_VARIABLES } from "../api/batch/batch-limits.ts";
import { millraceError } from "../definitions/errors.ts";
import { historyThreads } from "../feature_store/historical-reader.ts";
import { resolveBatch } from "./batch-config.ts";
import { BEAM_NAMES, resolveBeam } from "./beam-config.ts";
import { isGroup } from "./check-group.ts";
import type { LogFormat, LogLevel, MillraceConfig, ResolvedConfig } from "./config.ts";
import { CONNECTION_NAMES, CONNECTION_VARIABLES, resolveConnections } from "./connections.ts";
import { DEAD_LETTER_NAMES, DEAD_LETTER_VARIABLES, resolveDeadLetters } from "./dead-letter-config.ts";
import { importModule } from "./module-loader.ts";
import { QUALITY_NAMES, QUALITY_VARIABLES, resolveQuality } from "./quality-config.ts";
import { READ_VARIABLES, resolveReads } from "./read-config.ts";
import { resolveRetention } from "./retention.ts";
import { resolveSecurity, SECURITY_NAMES, SECURITY_VARIABLES } from "./security-config.ts";
import { resolveServing, SERVING_NAMES, SERVING_VARIABLES } from "./serving-config.ts";
import { resolveOffline, resolveOnline, STORE_VARIABLES } from "./store-config.ts";
import { resolveTls, TLS_VARIABLES } from "./tls-config.ts";

const KNOWN: Readonly<Record<string, readonly string[] | null>> = {
  declarations: null,
  data: null,
  // Their values are checked where the stores are known.
  online: null,
  offline: null,
  reads: ["deadlineMs", "fallback", "cache"],
  // By source, or one for all.
  retention: null,
  deadLetters: DEAD_LETTER_NAMES,
  history: ["threads"],
  server: [
    "host",
    "port",
    "bodyLimitBytes",
    "maxRows",
    "adminToken",
    "batch",
    "tls",
    ...SERVING_NAMES,
    ...SECURITY_NAMES,
  ],
  replay: ["speed", "hold"],
  models: ["pollSeconds", "cacheBytes", "diskBytes", "default"],
  beam: BEAM_NAMES,
  connections: CONNECTION_NAMES,
  quality: QUALITY_NAMES,
  logLevel: null,
  logFormat: null,
};
const LEVELS: readonly LogLevel[] = ["silent", "error", "warn", "info", "debug"];
const FORMATS: readonly LogFormat[] = ["auto", "json", "text"];
const VARIABLES = [
  "MILLRACE_DATA",
  "MILLRACE_HISTORY_THREADS",
  "MILLRACE_HOST",
  "MILLRACE_PORT",
  "MILLRACE_BODY_LIMIT_BYTES",
  "MILLRACE_MAX_ROWS",
  "MILLRACE_REPLAY_SPEED",
  "MILLRACE_MODEL_POLL_SECONDS",
  "MILLRACE_MODEL_CACHE_BYTES",
  "MILLRACE_MODEL_DISK_BYTES",
  "MILLRACE_DEFAULT_MODEL",
  "MILLRACE_LOG_LEVEL",
  "MILLRACE_LOG_FORMAT",
  ...CONNECTION_VARIABLES,
  "MILLRACE_ADMIN_TOKEN",
  ...STORE_VARIABLES,
  ...READ_VARIABLES,
  ...QUALITY_VARIABLES,
  ...DEAD_LETTER_VARIABLES,
  ...SERVING_VARIABLES,
  ...SECURITY_VARIABLES,
  ...TLS_VARIABLES,
  ...Object.values(BATCH_VARIABLES),
];

/**
 * Loads a configuration file; environment variables win over it. A revision above 0 reads a changed file again.
 * @throws `CONFIG_NOT_FOUND`, `CONFIG_INVALID` (naming the value or variable)
 */
export async function loadConfig(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
  revision = 0,
): Promise<ResolvedConfig> {
  const path = resolve(file);
  if (!existsSync(path)) {
    throw millraceError(
      "CONFIG_NOT_FOUND",
      `There is no configuration ${path}: make one (millrace.config.ts), or name it with --config.`,
    );
  }
  let module: { readonly default?: unknown };
  try {
    module = await importModule(path, revision);
  } catch (error) {
    throw millraceError(
      "CONFIG_INVALID",
      `The configuration ${path} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
  if (!isGroup(module.default)) {
    throw millraceError(
      "CONFIG_INVALID",
      `The configuration ${path} has no default export: export default defineConfig({ declarations: "./features.ts" }).`,
    );
  }
  return resolveConfig(module.default as unknown as MillraceConfig, dirname(path), env);
}

/** Fills in and checks a configuration; relative paths are relative to `folder`. */
export function resolveConfig(
  config: MillraceConfig,
  folder: string,
  env: Readonly<Record<string, string | undefined>>,
): ResolvedConfig {
  checkNames(config);
  for (const name of Object.keys(env)) {
    if (name.startsWith("MILLRACE_") && !VARIABLES.includes(name)) {
      throw millraceError("CONFIG_INVALID", `The variable ${name} is unknown: Millrace reads ${VARIABLES.join(", ")}.`);
    }
  }
  const absolute = (path: string): string => (isAbsolute(path) ? path : join(folder, path));
  const declarations = typeof config.declarations === "string" ? [config.declarations] : config.declarations;
  if (!Array.isArray(declarations) || declarations.length === 0 || declarations.some((d) => typeof d !== "string")) {
    throw millraceError("CONFIG_INVALID", `declarations must be a module's path, or a list of them.`);
  }
  for (const path of declarations) {
    if (!existsSync(absolute(path)))
      throw millraceError("CONFIG_INVALID", `declarations names ${absolute(path)}, which does not exist.`);
  }
  const text = (name: string, variable: string, value: string | undefined, fallback: string): string => {
    const found = env[variable] ?? value ?? fallback;
    if (typeof found !== "string" || found.trim() === "" || found.includes("\0")) {
      throw invalid(name, variable, env, "a text, and not an empty one");
    }
    return found;
  };
  const number = (
    name: string,
    variable: string,
    value: number | undefined,
    fallback: number,
    least: number,
    most: number,
    isWhole = true,
  ): number => {
    const given = env[variable];
    const found = given === undefined ? (value ?? fallback) : given.trim() === "" ? Number.NaN : Number(given);
    const fits = typeof found === "number" && found >= least && found <= most && (!isWhole || Number.isInteger(found));
    if (!fits) throw invalid(name, variable, env, `a ${isWhole ? "whole " : ""}number from ${least} to ${most}`);
    return found;
  };
  const speed = env.MILLRACE_REPLAY_SPEED ?? config.replay?.speed ?? "max";
  const logLevel = (env.MILLRACE_LOG_LEVEL ?? config.logLevel ?? "info") as LogLevel;
  const logFormat = (env.MILLRACE_LOG_FORMAT ?? config.logFormat ?? "auto") as LogFormat;
  if (!FORMATS.includes(logFormat)) {
    throw invalid("logFormat", "MILLRACE_LOG_FORMAT", env, `one of ${FORMATS.join(", ")}`);
  }
  if (!LEVELS.includes(logLevel)) throw invalid("logLevel", "MILLRACE_LOG_LEVEL", env, `one of ${LEVELS.join(", ")}`);
  if (config.replay?.hold !== undefined && typeof config.replay.hold !== "boolean")
    throw invalid("replay.hold", "", env, "true or false");
  return {
    declarations: declarations.map(absolute),
    data: absolute(text("data", "MILLRACE_DATA", config.data, ".millrace")),
    online: resolveOnline(config.online, env),
    offline: resolveOffline(config.offline, env),
    reads: resolveReads(config.reads, env),
    retention: resolveRetention(config.retention),
    deadLetters: resolveDeadLetters(config.deadLetters, env),
    history: {
      threads: number("history.threads", "MILLRACE_HISTORY_THREADS", config.history?.threads, historyThreads(), 1, 64),
    },
    server: {
      host: text("server.host", "MILLRACE_HOST", config.server?.host, "127.0.0.1"),
      port: number("server.port", "MILLRACE_PORT", config.server?.port, 8080, 0, 65_535),
      bodyLimitBytes: number(
        "server.bodyLimitBytes",
        "MILLRACE_BODY_LIMIT_BYTES",
        config.server?.bodyLimitBytes,
        32 * 2 ** 20,
        1_024,
        2 ** 31,
      ),
      maxRows: number("server.maxRows", "MILLRACE_MAX_ROWS", config.server?.maxRows, 100_000, 1, 1e7),
      ...resolveServing(config.server, env),
      ...resolveSecurity(
        config.server,
        env,
        text("server.host", "MILLRACE_HOST", config.server?.host, "127.0.0.1"),
        absolute(text("data", "MILLRACE_DATA", config.data, ".millrace")),
      ),
      adminToken: tokenOf(config.server?.adminToken, env),
      batch: resolveBatch(config.server?.batch, env),
      tls: resolveTls(config.server?.tls, env, folder),
    },
    replay: {
      speed:
        speed === "max"
          ? "max"
          : number("replay.speed", "MILLRACE_REPLAY_SPEED", speed as number, 1, 1e-6, 1e12, false),
      hold: config.replay?.hold ?? false,
    },
    models: {
      pollSeconds: number(
        "models.pollSeconds",
        "MILLRACE_MODEL_POLL_SECONDS",
        config.models?.pollSeconds,
        5,
        0.05,
        86_400,
        false,
      ),
      cacheBytes: number(
        "models.cacheBytes",
        "MILLRACE_MODEL_CACHE_BYTES",
        config.models?.cacheBytes,
        2 ** 30,
        2 ** 20,
        2 ** 40,
      ),
      diskBytes: number(
        "models.diskBytes",
        "MILLRACE_MODEL_DISK_BYTES",
        config.models?.diskBytes,
        10 * 2 ** 30,
        2 ** 20,
        2 ** 50,
      ),
      default:
        env.MILLRACE_DEFAULT_MODEL === undefined && config.models?.default === undefined
          ? null
          : text("models.default", "MILLRACE_DEFAULT_MODEL", config.models?.default, ""),
    },
    connections: resolveConnections(config.connections, env),
    beam: resolveBeam(config.beam),
    quality: resolveQuality(config.quality, env),
    logLevel,
    logFormat,
  };
}

function checkNames(config: MillraceConfig): void {
  for (const [name, value] of Object.entries(config)) {
    const inner = Object.hasOwn(KNOWN, name) ? KNOWN[name] : undefined;
    if (inner === undefined) throw unknownName(name, Object.keys(KNOWN));
    if (inner === null) continue;
    if (!isGroup(value)) throw millraceError("CONFIG_INVALID", `${name} must be an object with ${inner.join(", ")}.`);
    for (const key of Object.keys(value)) if (!inner.includes(key)) throw unknownName(`${name}.${key}`, inner);
  }
}

function tokenOf(given: string | undefined, env: Readonly<Record<string, string | undefined>>): string | null {
  const token = env.MILLRACE_ADMIN_TOKEN ?? given ?? null;
  if (token === null || (typeof token === "string" && /^\S{16,}$/.test(token))) return token;
  throw invalid("server.adminToken", "MILLRACE_ADMIN_TOKEN", env, "a text of at least 16 characters without blanks");
}

function unknownName(name: string, known: readonly string[]): Error {
  return millraceError("CONFIG_INVALID", `The configuration has no '${name}': known here are ${known.join(", ")}.`);
}

function invalid(
  name: string,
  variable: string,
  env: Readonly<Record<string, string | undefined>>,
  expected: string,
): Error {
  const from = env[variable] === undefined ? name : `the variable ${variable}`;
  return millraceError("CONFIG_INVALID", `${from} must be ${expected}.`, { details: { name: from } });
}
