import { millraceError } from "../definitions/errors.ts";
import type { PostgresOfflineStoreOptions } from "../feature_store/offline/postgres-offline-store.ts";
import type { RedisOnlineStoreOptions } from "../feature_store/online/redis-online-store.ts";
import { isGroup } from "./check-group.ts";

/** Where the hot store is: a folder beside the process, or Redis. */
export type OnlineConfig = { readonly store: "lmdb" } | ({ readonly store: "redis" } & RedisOnlineStoreOptions);

/** Where the cold store is: a file beside the process, or PostgreSQL. */
export type OfflineConfig =
  | { readonly store: "duckdb" }
  | ({ readonly store: "postgres" } & PostgresOfflineStoreOptions);

/** For `online` in the configuration. */
export function redis(options: RedisOnlineStoreOptions): OnlineConfig {
  return { store: "redis", ...options };
}

/** For `offline` in the configuration. */
export function postgres(options: PostgresOfflineStoreOptions): OfflineConfig {
  return { store: "postgres", ...options };
}

/** True if both stores are such that processes share them. */
export function areShared(config: { readonly online: OnlineConfig; readonly offline: OfflineConfig }): boolean {
  return config.online.store === "redis" && config.offline.store === "postgres";
}

type Env = Readonly<Record<string, string | undefined>>;

const REDIS = {
  url: "MILLRACE_REDIS_URL",
  username: "MILLRACE_REDIS_USERNAME",
  password: "MILLRACE_REDIS_PASSWORD",
  keyPrefix: "MILLRACE_REDIS_KEY_PREFIX",
} as const;
const POSTGRES = {
  url: "MILLRACE_POSTGRES_URL",
  password: "MILLRACE_POSTGRES_PASSWORD",
  schema: "MILLRACE_POSTGRES_SCHEMA",
} as const;
const CLUSTER = "MILLRACE_REDIS_CLUSTER";
const DURABILITY = "MILLRACE_REDIS_DURABILITY";
const CONNECTIONS = "MILLRACE_POSTGRES_MAX_CONNECTIONS";
const STATEMENT = "MILLRACE_POSTGRES_STATEMENT_TIMEOUT_MS";

export const STORE_VARIABLES: readonly string[] = [
  ...Object.values(REDIS),
  CLUSTER,
  DURABILITY,
  ...Object.values(POSTGRES),
  CONNECTIONS,
  STATEMENT,
];

/** Fills in and checks where the hot store is. What is wrong is named, and never shown: it may hold a password. */
export function resolveOnline(given: OnlineConfig | undefined, env: Env): OnlineConfig {
  if (given !== undefined && !isStore(given)) throw invalid("online", 'redis({ url: "redis://…" }), or left out');
  const named = given?.store ?? (env[REDIS.url] !== undefined || env[CLUSTER] !== undefined ? "redis" : "lmdb");
  if (named === "lmdb") {
    refuseVariables(env, [...Object.values(REDIS), CLUSTER, DURABILITY], "online", "redis");
    return { store: "lmdb" };
  }
  if (named !== "redis") throw invalid("online.store", '"lmdb" or "redis"');
  const from = given?.store === "redis" ? given : { store: named };
  const texts = textsOf(REDIS, from, env, "online");
  const cluster = env[CLUSTER]?.split(",").map((node) => node.trim()) ?? from.cluster;
  if (env[CLUSTER] !== undefined && cluster?.some((node) => !/^[^:\s]+:\d+$/.test(node)) === true) {
    throw invalid(`the variable ${CLUSTER}`, "nodes as host:port, separated by commas");
  }
  if ((texts.url === undefined) === (cluster === undefined)) {
    throw invalid(`online (${REDIS.url}, ${CLUSTER})`, "either a url or the nodes of a cluster");
  }
  if (texts.url !== undefined && !/^rediss?:\/\/./.test(texts.url)) {
    throw invalid(env[REDIS.url] === undefined ? "online.url" : `the variable ${REDIS.url}`, "redis://… or rediss://…");
  }
  const durability = durabilityOf(env[DURABILITY]) ?? from.durability ?? "none";
  if (
    durability !== "none" &&
    durability !== "aof" &&
    !(Number.isInteger(durability.replicas) && durability.replicas > 0)
  ) {
    throw invalid("online.durability", '"none", "aof" or { replicas: 1 }');
  }
  return { ...from, ...texts, store: "redis", durability, ...(cluster === undefined ? {} : { cluster }) };
}

/** Fills in and checks where the cold store is. */
export function resolveOffline(given: OfflineConfig | undefined, env: Env): OfflineConfig {
  if (given !== undefined && !isStore(given)) {
    throw invalid("offline", 'postgres({ url: "postgres://…" }), or left out');
  }
  const named = given?.store ?? (env[POSTGRES.url] === undefined ? "duckdb" : "postgres");
  if (named === "duckdb") {
    refuseVariables(env, [...Object.values(POSTGRES), CONNECTIONS, STATEMENT], "offline", "postgres");
    return { store: "duckdb" };
  }
  if (named !== "postgres") throw invalid("offline.store", '"duckdb" or "postgres"');
  const from = given?.store === "postgres" ? given : { store: named };
  const { url, ...texts } = textsOf(POSTGRES, from, env, "offline");
  const name = env[POSTGRES.url] === undefined ? "offline.url" : `the variable ${POSTGRES.url}`;
  if (url === undefined || !/^postgres(ql)?:\/\/./.test(url)) throw invalid(name, "postgres://user@host:5432/database");
  const maxConnections = numberOf(CONNECTIONS, "offline.maxConnections", from, "maxConnections", env, 2);
  const statementTimeoutMs = numberOf(STATEMENT, "offline.statementTimeoutMs", from, "statementTimeoutMs", env, 1);
  return { ...from, ...texts, ...maxConnections, ...statementTimeoutMs, store: "postgres", url };
}

/** A bare URL, say, would else mean the embedded store. */
function isStore(given: unknown): boolean {
  return isGroup(given) && typeof given.store === "string";
}

function durabilityOf(text: string | undefined): RedisOnlineStoreOptions["durability"] {
  if (text === undefined || text === "none" || text === "aof") return text;
  if (!/^[1-9]\d?$/.test(text)) throw invalid(`the variable ${DURABILITY}`, "none, aof, or a number of replicas");
  return { replicas: Number(text) };
}

function textsOf<Names extends Readonly<Record<string, string>>>(
  names: Names,
  from: object,
  env: Env,
  where: string,
): { readonly [K in keyof Names]?: string } {
  const found: Record<string, string> = {};
  for (const [key, variable] of Object.entries(names)) {
    const value = env[variable] ?? (from as Readonly<Record<string, unknown>>)[key];
    if (value === undefined) continue;
    if (typeof value !== "string" || value === "") {
      throw invalid(env[variable] === undefined ? `${where}.${key}` : `the variable ${variable}`, "a text");
    }
    found[key] = value;
  }
  return found as { readonly [K in keyof Names]?: string };
}

function numberOf(variable: string, name: string, from: object, key: string, env: Env, least: number): object {
  const given = env[variable] ?? (from as Readonly<Record<string, unknown>>)[key];
  if (given === undefined) return {};
  const value = Number(given);
  if (!Number.isInteger(value) || value < least || value > 1e9) {
    throw invalid(env[variable] === undefined ? name : `the variable ${variable}`, `a whole number from ${least}`);
  }
  return { [key]: value };
}

function refuseVariables(env: Env, variables: readonly string[], where: string, store: string): void {
  const found = variables.find((variable) => env[variable] !== undefined);
  if (found === undefined) return;
  throw millraceError(
    "CONFIG_INVALID",
    `The variable ${found} is set, and ${where} in the configuration is not ${store}: take one of them away.`,
  );
}

function invalid(name: string, expected: string): Error {
  return millraceError("CONFIG_INVALID", `${name} must be ${expected}.`, { details: { name } });
}
