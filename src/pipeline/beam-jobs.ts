import type { ResolvedConfig } from "../config/config.ts";
import type { ConnectionsConfig } from "../config/connections.ts";
import { type DeadLetterThresholds, deadLetterThresholdOf } from "../config/dead-letter-config.ts";
import { millraceError } from "../definitions/errors.ts";
import type { SourceMeta } from "../definitions/source.ts";
import type {
  BeamHistory,
  BeamInput,
  BeamJob,
  BeamOnline,
  BeamRegistry,
  BeamTls,
} from "../feature_engineering/beam/beam-job.ts";
import { jobScript } from "../feature_engineering/beam/job-script.ts";
import { messageForm } from "../feature_engineering/beam/message-form.ts";
import { viewNumber } from "../feature_engineering/beam/script/view-number.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import { compilePlan, planText } from "../feature_engineering/plan/plan.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import { historyStatements } from "../feature_store/offline/postgres-history-batches.ts";
import { readAddress } from "../feature_store/online/redis-client.ts";
import { redisKeys } from "../feature_store/online/redis-keys.ts";
import { WRITE_VALUES } from "../feature_store/online/redis-scripts.ts";
import { DEAD_LETTER_THRESHOLD, mostBad } from "../ingestion/dead-letter-share.ts";
import type { BeamFiles } from "./beam-files.ts";
import { beamParquet } from "./beam-parquet.ts";
import { sourceTable } from "./source-pipeline.ts";

export interface BeamJobOptions {
  readonly declarations: Declarations;
  readonly online: ResolvedConfig["online"];
  /** Null: raw events and dead letters are not kept. */
  readonly offline: ResolvedConfig["offline"] | null;
  readonly generation: number;
  readonly engine?: "v8" | "graal";
  readonly script: string;
  readonly sources: readonly BeamJobSource[];
  /** A folder or a URL for raw events as Parquet too; and how long a stream's are gathered for a file, milliseconds. */
  readonly parquet?: string;
  readonly parquetEveryMs?: number;
  /** The job reads its events from their beginning: what a former run wrote of them as Parquet is set aside. */
  readonly anew?: boolean;
  /** Above which share of bad messages the job stops. Default: half of the last 1,000. */
  readonly deadLetters?: DeadLetterThresholds;
  /** For sources whose messages name schemas. */
  readonly schemaRegistry?: ConnectionsConfig["schemaRegistry"];
}

/** One source of a job, and which of its events. */
export interface BeamJobSource {
  readonly source: SourceMeta;
  readonly input: BeamInput;
  readonly cells?: BeamFiles["cells"];
  readonly nulls?: readonly string[];
  readonly from?: number | null;
  readonly until?: number | null;
}

/**
 * Makes the job file of some sources' views.
 * @throws `BEAM_STORE_UNSUPPORTED`, `BEAM_FORMAT_UNSUPPORTED`, `SCHEMA_REGISTRY_MISSING`
 */
export function beamJob(options: BeamJobOptions): BeamJob {
  const { declarations, sources } = options;
  const streamed = sources.filter(({ input }) => "messages" in input).map(({ source }) => source);
  for (const source of streamed) checkFormat(source);
  const plan = compilePlan(declarations);
  return {
    id: crypto.randomUUID(),
    engine: options.engine ?? "v8",
    script: jobScript(options.script, plan),
    plan: planText(plan),
    settings: {
      generation: options.generation,
      sources: sources.map(({ source, from = null, until = null, cells = "json", nulls = [] }) => ({
        name: source.name,
        from,
        until,
        history: options.offline !== null,
        cells,
        nulls,
      })),
    },
    sources: sources.map(({ input }) => input),
    dead_letters: sources.map(({ source }) => {
      const { deadLetters: given } = options;
      const threshold = given === undefined ? DEAD_LETTER_THRESHOLD : deadLetterThresholdOf(given, source.name);
      return { most: mostBad(threshold), over: threshold.over };
    }),
    registry: registryOf(streamed, options.schemaRegistry),
    online: onlineOf(
      options.online,
      plan.views.map((view) => view.version),
    ),
    history: options.offline === null ? null : historyOf(options.offline, declarations, sources),
    parquet:
      options.parquet === undefined
        ? null
        : beamParquet(
            options.parquet,
            sources.map(({ source }) => source),
            { everyMs: options.parquetEveryMs, anew: options.anew },
          ),
  };
}

function checkFormat(source: SourceMeta): void {
  if (source.format.format !== "custom") return;
  throw millraceError(
    "BEAM_FORMAT_UNSUPPORTED",
    `Source '${source.name}' has a decoder of its own, which Beam's workers do not have: they read JSON, Avro and Protobuf. Compute its views with the embedded engine.`,
  );
}

function registryOf(
  sources: readonly SourceMeta[],
  registry: ConnectionsConfig["schemaRegistry"],
): BeamRegistry | null {
  const needs = sources.find(({ format }) => messageForm(format).registry);
  if (needs === undefined) return null;
  if (registry !== undefined) {
    const { url, username, password, timeoutMs } = registry;
    return {
      url,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(timeoutMs === undefined ? {} : { timeout_ms: timeoutMs }),
    };
  }
  throw millraceError(
    "SCHEMA_REGISTRY_MISSING",
    `The messages of source '${needs.name}' name schemas of a registry, and none is configured: set schemaRegistry.url in the configuration, or MILLRACE_SCHEMA_REGISTRY_URL.`,
  );
}

/** Raises a fact that is a number. */
const RAISE_FACT = `
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known or tonumber(known) < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return 1
`;

function onlineOf(online: ResolvedConfig["online"], keyspaces: readonly string[]): BeamOnline {
  if (online.store !== "redis") {
    throw millraceError(
      "BEAM_STORE_UNSUPPORTED",
      "Beam writes values to Redis: set online to redis({ url }) or redis({ cluster }), or MILLRACE_REDIS_URL.",
    );
  }
  const { host, port, db, nodes, username, password, tls } = readAddress(online);
  const isCluster = nodes.length > 0;
  const keys = redisKeys(online.keyPrefix ?? "millrace:", isCluster);
  const shards = Array.from({ length: keys.shards }, (_, shard) => shard);
  return {
    nodes: isCluster ? nodes : [{ host, port }],
    cluster: isCluster,
    database: db,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    tls: tls === null ? null : beamTls(tls, "Redis"),
    views: keyspaces.map((keyspace) => ({
      number: viewNumber(keyspace),
      keyspace,
      prefixes: shards.map((shard) => keys.valuePrefix(keyspace, shard).toString("utf8")),
    })),
    writers: shards.map(keys.writers),
    registry: shards.map(keys.keyspaces),
    facts: keys.facts,
    write_script: WRITE_VALUES.lua,
    clock_script: RAISE_FACT,
  };
}

/** TLS as the Java clients take it. @throws `BEAM_STORE_UNSUPPORTED` for what they do not have */
function beamTls(tls: object, store: string): BeamTls {
  const { ca, cert, key, rejectUnauthorized = true, ...others } = tls as Readonly<Record<string, unknown>>;
  const texts = Object.entries({ ca, cert, key }).filter(([, value]) => value !== undefined);
  const unknown = [
    ...texts.filter(([, value]) => typeof value !== "string").map(([name]) => name),
    ...Object.keys(others),
  ];
  if (unknown.length > 0) {
    throw millraceError(
      "BEAM_STORE_UNSUPPORTED",
      `Beam reaches ${store} with TLS by ca, cert and key (PEM texts) and rejectUnauthorized, not by ${unknown.join(", ")}: leave that out.`,
    );
  }
  return { ...(Object.fromEntries(texts) as Partial<BeamTls>), verify: rejectUnauthorized !== false };
}

function historyOf(
  offline: ResolvedConfig["offline"],
  declarations: Declarations,
  sources: readonly BeamJobSource[],
): BeamHistory {
  if (offline.store !== "postgres") {
    throw millraceError(
      "BEAM_STORE_UNSUPPORTED",
      "Beam keeps history in PostgreSQL: set offline to postgres({ url }), or MILLRACE_POSTGRES_URL.",
    );
  }
  const url = new URL(offline.url);
  const bySource = sources.map(({ source }) => {
    const views = declarations.views.filter((view) => view.source.name === source.name);
    const versionKind = source.columns.find((column) => column.name === source.version)?.type.kind ?? null;
    const table = sourceTable(source, views);
    return [
      source.name,
      historyStatements(offline.schema ?? "millrace", table, versionKind, offline.partitionBy ?? "month"),
    ] as const;
  });
  const password = offline.password ?? decodeURIComponent(url.password);
  return {
    url: `jdbc:postgresql://${url.host}${url.pathname}${url.search}`,
    properties: {
      user: decodeURIComponent(url.username),
      ...(password === "" ? {} : { password }),
      // Seconds. What is written is written again after a failure: a server that is gone must not hold the job for ever.
      ...{ connectTimeout: "10", socketTimeout: "120", tcpKeepAlive: "true" },
      ApplicationName: offline.applicationName ?? "millrace",
      ...(offline.tls === false ? { sslmode: "disable" } : {}),
    },
    tls:
      offline.tls === undefined || offline.tls === false
        ? null
        : beamTls(offline.tls === true ? {} : offline.tls, "PostgreSQL"),
    statements: Object.fromEntries(bySource.map(([name, { write }]) => [name, write])),
    repair: Object.fromEntries(bySource.map(([name, { repair }]) => [name, repair])),
  };
}

/** Makes the tables of the sources in history. */
export async function prepareHistory(
  { declarations, sources }: Pick<BeamJobOptions, "declarations" | "sources">,
  store: OfflineStore,
): Promise<void> {
  for (const { source } of sources) {
    const views = declarations.views.filter((view) => view.source.name === source.name);
    await store.prepareSource(sourceTable(source, views));
  }
}
