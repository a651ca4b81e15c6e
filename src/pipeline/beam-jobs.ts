import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import type { ResolvedConfig } from "../config/config.ts";
import type { ConnectionsConfig, KafkaClusterConfig } from "../config/connections.ts";
import { millraceError } from "../definitions/errors.ts";
import type { SourceMeta } from "../definitions/source.ts";
import type {
  BeamFile,
  BeamHistory,
  BeamInput,
  BeamJob,
  BeamKafka,
  BeamOnline,
  BeamRegistry,
  BeamStream,
} from "../feature_engineering/beam/beam-job.ts";
import { jobScript } from "../feature_engineering/beam/job-script.ts";
import { messageForm } from "../feature_engineering/beam/message-form.ts";
import { viewNumber } from "../feature_engineering/beam/script/view-number.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import { compilePlan, planText } from "../feature_engineering/plan/plan.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import { historyStatements } from "../feature_store/offline/postgres-history-batches.ts";
import { redisKeys } from "../feature_store/online/redis-keys.ts";
import { WRITE_VALUES } from "../feature_store/online/redis-scripts.ts";
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
  /** For sources whose messages name schemas. */
  readonly schemaRegistry?: ConnectionsConfig["schemaRegistry"];
}

/** One source of a job, and which of its events. */
export interface BeamJobSource {
  readonly source: SourceMeta;
  readonly input: BeamInput;
  readonly cells?: "json" | "text";
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
    registry: registryOf(streamed, options.schemaRegistry),
    online: onlineOf(
      options.online,
      plan.views.map((view) => view.version),
    ),
    history: options.offline === null ? null : historyOf(options.offline, declarations, sources),
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

/** What the host must know of a source's stream, beside where it is. */
export function beamStream(source: SourceMeta): Pick<BeamStream, "clock" | "lateness_ms" | "messages"> {
  return { clock: source.clock, lateness_ms: source.latenessMs, messages: messageForm(source.format) };
}

/** Raises a fact that is a number. */
const RAISE_FACT = `
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known or tonumber(known) < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return 1
`;

function onlineOf(online: ResolvedConfig["online"], keyspaces: readonly string[]): BeamOnline {
  if (online.store !== "redis" || online.url === undefined) {
    throw millraceError(
      "BEAM_STORE_UNSUPPORTED",
      "Beam writes values to one Redis server: set online to redis({ url }), or MILLRACE_REDIS_URL.",
    );
  }
  const keys = redisKeys(online.keyPrefix ?? "millrace:", false);
  return {
    url: online.url,
    ...(online.username === undefined ? {} : { username: online.username }),
    ...(online.password === undefined ? {} : { password: online.password }),
    views: keyspaces.map((keyspace) => ({
      number: viewNumber(keyspace),
      keyspace,
      prefix: keys.valuePrefix(keyspace, 0).toString("utf8"),
    })),
    writers: keys.writers(0),
    registry: keys.keyspaces(0),
    facts: keys.facts,
    write_script: WRITE_VALUES.lua,
    clock_script: RAISE_FACT,
  };
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
      ApplicationName: offline.applicationName ?? "millrace",
      ...(offline.tls === undefined || offline.tls === false ? {} : { sslmode: "require" }),
    },
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

/** A file's partition is the hash of what is in it: read again, it adds nothing to history. */
export async function beamFile(path: string): Promise<BeamFile> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  const format = /\.csv(\.gz)?$/.test(path) ? "csv" : "jsonl";
  return { path: resolve(path), format, partition: hash.digest("hex").slice(0, 32) };
}

/** What the Java client needs to reach a cluster. @throws `BEAM_KAFKA_UNSUPPORTED` */
export function beamKafka(
  source: SourceMeta,
  clusters: Readonly<Record<string, KafkaClusterConfig>>,
  from: number | null,
): BeamKafka {
  const { connector } = source;
  const cluster = connector.connector === "kafka" ? clusters[connector.cluster] : undefined;
  if (connector.connector !== "kafka" || cluster === undefined) {
    throw millraceError(
      "BEAM_KAFKA_UNSUPPORTED",
      `Source '${source.name}' has no Kafka cluster in the configuration: name its brokers in connections.kafka, or MILLRACE_KAFKA_BROKERS.`,
    );
  }
  const { start } = connector;
  return {
    brokers: cluster.brokers.join(","),
    topics: connector.topics,
    config: { "auto.offset.reset": start === "latest" ? "latest" : "earliest", ...securityOf(source.name, cluster) },
    from: from ?? (typeof start === "number" ? start : null),
  };
}

function securityOf(source: string, { tls, sasl }: KafkaClusterConfig): Readonly<Record<string, string>> {
  const isSecure = tls !== undefined && tls !== false;
  const protocol = `${sasl === undefined ? "" : "SASL_"}${isSecure ? "SSL" : "PLAINTEXT"}`;
  const config: Record<string, string> = protocol === "PLAINTEXT" ? {} : { "security.protocol": protocol };
  if (typeof tls === "object") {
    if (tls.ca !== undefined) {
      config["ssl.truststore.type"] = "PEM";
      config["ssl.truststore.certificates"] = tls.ca;
    }
    if (tls.cert !== undefined && tls.key !== undefined) {
      config["ssl.keystore.type"] = "PEM";
      config["ssl.keystore.certificate.chain"] = tls.cert;
      config["ssl.keystore.key"] = tls.key;
    }
  }
  if (sasl === undefined) return config;
  if (sasl.mechanism === "OAUTHBEARER") {
    throw millraceError(
      "BEAM_KAFKA_UNSUPPORTED",
      `Source '${source}' reaches Kafka with OAUTHBEARER, which the Beam job cannot: use PLAIN or SCRAM.`,
    );
  }
  const module = sasl.mechanism === "PLAIN" ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
  const quotedText = (text: string): string => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  return {
    ...config,
    "sasl.mechanism": sasl.mechanism,
    "sasl.jaas.config": `org.apache.kafka.common.security.${module} required username=${quotedText(sasl.username)} password=${quotedText(sasl.password)};`,
  };
}
