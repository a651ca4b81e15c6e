import type { MlflowOptions } from "../api/models/mlflow-registry.ts";
import type { ScoringOptions } from "../api/models/scoring-client.ts";
import { millraceError } from "../definitions/errors.ts";
import type { SchemaRegistryOptions } from "../ingestion/decoders/schema-registry.ts";
import type { KafkaConnectionOptions, KafkaSasl } from "../ingestion/sources/kafka-options.ts";
import type { KinesisSourceOptions } from "../ingestion/sources/kinesis-options.ts";
import type { PubsubSourceOptions } from "../ingestion/sources/pubsub-options.ts";
import {
  ANYTHING,
  checkGroup,
  checkGroups,
  isGroup,
  oneOfTexts,
  SECRET,
  TEXT,
  type ValueKinds,
  wholeNumber,
} from "./check-group.ts";
import { MODEL_VARIABLES, resolveMlflow, resolveScoring } from "./model-connections.ts";
import { isServerUrl } from "./server-url.ts";
import { TLS_KINDS } from "./tls-kinds.ts";

/** How one Kafka cluster is reached, and as which group. */
export interface KafkaClusterConfig extends KafkaConnectionOptions {
  /** The consumer group of sources that name none. Default `millrace`. */
  readonly groupId?: string;
  /** `consumer` is KIP-848, of brokers from 4.0 on. Default `classic`. */
  readonly groupProtocol?: "classic" | "consumer";
  /**
   * How long the brokers wait for a process that fell silent before others get its partitions, milliseconds; of
   * `classic` groups. Default 10,000.
   */
  readonly sessionTimeoutMs?: number;
}

/** How brokers and MLflow are reached: apart from the declarations, which the registry keeps and which hold no secret. */
export interface ConnectionsConfig {
  /** By the name that sources give (`kafka({ cluster })`); `default` where they give none. */
  readonly kafka?: Readonly<Record<string, KafkaClusterConfig>>;
  readonly kinesis?: Pick<KinesisSourceOptions, "region" | "endpoint" | "credentials">;
  readonly pubsub?: Pick<PubsubSourceOptions, "projectId" | "emulator" | "maxOutstanding" | "maxOutstandingBytes">;
  readonly schemaRegistry?: SchemaRegistryOptions;
  /** By the name that models give (`mlflowModel({ server })`); `default` where they give none. */
  readonly mlflow?: Readonly<Record<string, MlflowOptions>>;
  /** By the name that models give (`scoring`); `default` where they give none. */
  readonly scoring?: Readonly<Record<string, ScoringOptions>>;
}

/** The variables that {@link resolveConnections} reads. */
export const CONNECTION_VARIABLES: readonly string[] = [
  "MILLRACE_KAFKA_BROKERS",
  "MILLRACE_KAFKA_GROUP",
  "MILLRACE_KAFKA_TLS",
  "MILLRACE_KAFKA_SASL_MECHANISM",
  "MILLRACE_KAFKA_USERNAME",
  "MILLRACE_KAFKA_PASSWORD",
  "MILLRACE_KINESIS_REGION",
  "MILLRACE_KINESIS_ENDPOINT",
  "MILLRACE_PUBSUB_PROJECT",
  "MILLRACE_SCHEMA_REGISTRY_URL",
  "MILLRACE_SCHEMA_REGISTRY_USERNAME",
  "MILLRACE_SCHEMA_REGISTRY_PASSWORD",
  ...MODEL_VARIABLES,
];

export const CONNECTION_NAMES: readonly string[] = [
  "kafka",
  "kinesis",
  "pubsub",
  "schemaRegistry",
  "mlflow",
  "scoring",
];
const CLUSTER: ValueKinds = {
  brokers: ANYTHING,
  clientId: TEXT,
  tls: { expected: "true, false, or an object of PEM texts", fits: (tls) => typeof tls === "boolean" || isGroup(tls) },
  sasl: ANYTHING,
  groupId: TEXT,
  groupProtocol: oneOfTexts("classic", "consumer"),
  sessionTimeoutMs: wholeNumber(1, 3_600_000),
};
const SASL: ValueKinds = {
  mechanism: oneOfTexts("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"),
  username: TEXT,
  password: SECRET,
  token: TEXT,
  tokenFile: TEXT,
};
const KINESIS: ValueKinds = { region: TEXT, endpoint: TEXT, credentials: ANYTHING };
const CREDENTIALS: ValueKinds = { accessKeyId: TEXT, secretAccessKey: TEXT, sessionToken: TEXT };
const PUBSUB: ValueKinds = {
  projectId: TEXT,
  emulator: TEXT,
  maxOutstanding: wholeNumber(1, 1e6),
  maxOutstandingBytes: wholeNumber(1, 2 ** 40),
};
const REGISTRY: ValueKinds = {
  url: ANYTHING,
  username: TEXT,
  password: SECRET,
  timeoutMs: wholeNumber(1, 600_000),
};

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Checks the connections and puts the variables in: those of Kafka are of the cluster `default`.
 * @throws `CONFIG_INVALID`, which names the value or the variable and never shows a secret
 */
export function resolveConnections(config: ConnectionsConfig | undefined, env: Environment): ConnectionsConfig {
  checkGroup("connections", config ?? {}, Object.fromEntries(CONNECTION_NAMES.map((name) => [name, ANYTHING])));
  checkGroups("connections.kafka", config?.kafka, CLUSTER);
  const kafka = { ...config?.kafka };
  const fromEnv = kafkaVariables(env);
  if (fromEnv !== null || kafka.default !== undefined) {
    kafka.default = { ...kafka.default, ...fromEnv } as KafkaClusterConfig;
  }
  for (const [name, cluster] of Object.entries(kafka)) checkCluster(name, cluster);
  for (const [name, kinds] of Object.entries({ kinesis: KINESIS, pubsub: PUBSUB, schemaRegistry: REGISTRY })) {
    const group = config?.[name as keyof ConnectionsConfig];
    if (group !== undefined) checkGroup(`connections.${name}`, group, kinds);
  }
  const { credentials } = config?.kinesis ?? {};
  if (credentials !== undefined) checkGroup("connections.kinesis.credentials", credentials, CREDENTIALS);
  const registryUrl = env.MILLRACE_SCHEMA_REGISTRY_URL ?? config?.schemaRegistry?.url;
  const isRegistry = config?.schemaRegistry !== undefined || registryUrl !== undefined;
  if (isRegistry && (registryUrl === undefined || !isServerUrl(registryUrl))) {
    throw invalid(
      "connections.schemaRegistry.url (MILLRACE_SCHEMA_REGISTRY_URL) must be an http or https URL without a user or query",
    );
  }
  return {
    kafka,
    kinesis: {
      ...config?.kinesis,
      ...given("region", env.MILLRACE_KINESIS_REGION),
      ...given("endpoint", env.MILLRACE_KINESIS_ENDPOINT),
    },
    mlflow: resolveMlflow(config?.mlflow, env),
    scoring: resolveScoring(config?.scoring, env),
    pubsub: { ...config?.pubsub, ...given("projectId", env.MILLRACE_PUBSUB_PROJECT) },
    ...(registryUrl === undefined
      ? {}
      : {
          schemaRegistry: {
            ...config?.schemaRegistry,
            url: registryUrl,
            ...given("username", env.MILLRACE_SCHEMA_REGISTRY_USERNAME),
            ...given("password", env.MILLRACE_SCHEMA_REGISTRY_PASSWORD),
          },
        }),
  };
}

function kafkaVariables(env: Environment): Partial<KafkaClusterConfig> | null {
  const brokers = env.MILLRACE_KAFKA_BROKERS?.split(",").map((broker) => broker.trim());
  const { MILLRACE_KAFKA_USERNAME: username, MILLRACE_KAFKA_PASSWORD: password } = env;
  const mechanism = env.MILLRACE_KAFKA_SASL_MECHANISM ?? "PLAIN";
  const tls = env.MILLRACE_KAFKA_TLS;
  if (tls !== undefined && tls !== "true" && tls !== "false") throw invalid("MILLRACE_KAFKA_TLS must be true or false");
  if (!["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].includes(mechanism)) {
    throw invalid("MILLRACE_KAFKA_SASL_MECHANISM must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512");
  }
  if ((username === undefined) !== (password === undefined)) {
    throw invalid("MILLRACE_KAFKA_USERNAME and MILLRACE_KAFKA_PASSWORD go together");
  }
  const found: Partial<KafkaClusterConfig> = {
    ...given("brokers", brokers),
    ...given("groupId", env.MILLRACE_KAFKA_GROUP),
    ...given("tls", tls === undefined ? undefined : tls === "true"),
    ...given("sasl", username === undefined ? undefined : ({ mechanism, username, password } as KafkaSasl)),
  };
  return Object.keys(found).length === 0 ? null : found;
}

function checkCluster(name: string, { brokers, tls, sasl }: KafkaClusterConfig): void {
  const bad =
    !Array.isArray(brokers) ||
    brokers.length === 0 ||
    brokers.some((broker) => typeof broker !== "string" || !/^[^:\s/]+:\d+$|^\[.+\]:\d+$/.test(broker));
  if (bad) {
    throw invalid(`connections.kafka.${name}.brokers (MILLRACE_KAFKA_BROKERS) must list brokers as host:port`);
  }
  const where = `connections.kafka.${name}`;
  if (typeof tls === "object") checkGroup(`${where}.tls`, tls, TLS_KINDS);
  if (sasl === undefined) return;
  checkGroup(`${where}.sasl`, sasl, SASL);
  const given = new Set(Object.keys(sasl));
  const isWhole =
    sasl.mechanism === "OAUTHBEARER"
      ? given.has("token") !== given.has("tokenFile") && given.size === 2
      : given.has("mechanism") && given.has("username") && given.has("password") && given.size === 3;
  if (!isWhole) {
    throw invalid(
      `${where}.sasl must be { mechanism, username, password }, or { mechanism: "OAUTHBEARER" } with a token or a tokenFile`,
    );
  }
}

function given<K extends string, V>(name: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [P in K]: V });
}

function invalid(message: string): Error {
  return millraceError("CONFIG_INVALID", `${message}.`);
}
