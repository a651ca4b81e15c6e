import type { ConnectionsConfig, KafkaClusterConfig } from "../config/connections.ts";
import type { KinesisConnector, PubsubConnector } from "../definitions/connector.ts";
import { millraceError } from "../definitions/errors.ts";
import type { SourceMeta } from "../definitions/source.ts";
import type {
  BeamKafka,
  BeamKinesis,
  BeamPubsub,
  BeamStream,
  BeamStreamFacts,
} from "../feature_engineering/beam/beam-job.ts";
import { messageForm } from "../feature_engineering/beam/message-form.ts";
import type { BeamJobSource } from "./beam-jobs.ts";

/** The optional parts of the host that a job needs: they are large. `parquet` is the folder for raw events. */
export function beamParts(sources: readonly BeamJobSource[], parquet: string | undefined): readonly string[] {
  const inputs = sources.map(({ input }) => input);
  const readsParquet = inputs.some(
    (input) => "files" in input && input.files.some((file) => file.format === "parquet"),
  );
  // Amazon's and Google's parts bring their file systems too.
  return [
    ...(inputs.some((input) => "kinesis" in input) || parquet?.startsWith("s3:") === true ? ["kinesis"] : []),
    ...(readsParquet || parquet !== undefined ? ["parquet"] : []),
    ...(inputs.some((input) => "pubsub" in input) || parquet?.startsWith("gs:") === true ? ["pubsub"] : []),
  ];
}

/**
 * Where a source's stream is; `from`: only what arrived from this moment on, where the transport can tell (Pub/Sub
 * cannot); null: from where the source says.
 * @throws `BEAM_KAFKA_UNSUPPORTED`, `BEAM_SOURCE_UNSUPPORTED`
 */
export function beamStream(source: SourceMeta, connections: ConnectionsConfig, from: number | null): BeamStream {
  const facts: BeamStreamFacts = {
    clock: source.clock,
    lateness_ms: source.latenessMs,
    messages: messageForm(source.format),
  };
  const { connector } = source;
  switch (connector.connector) {
    case "kafka":
      return { ...facts, kafka: kafkaOf(source, connections.kafka ?? {}, from) };
    case "kinesis":
      return { ...facts, kinesis: kinesisOf(connector, connections.kinesis ?? {}, from) };
    case "pubsub":
      return { ...facts, pubsub: pubsubOf(source.name, connector, connections.pubsub ?? {}) };
  }
  throw millraceError(
    "BEAM_SOURCE_UNSUPPORTED",
    `Source '${source.name}' comes by ${connector.connector}, which Beam does not stream: it reads Kafka, Kinesis and Pub/Sub. Compute its views with the embedded engine, or backfill its files.`,
  );
}

function kinesisOf(
  { start, stream }: KinesisConnector,
  { region, endpoint, credentials }: NonNullable<ConnectionsConfig["kinesis"]>,
  from: number | null,
): BeamKinesis {
  const moment = from ?? (typeof start === "number" ? start : null);
  return {
    // Beam names streams, in the account of its credentials.
    stream: stream.startsWith("arn:") ? stream.slice(stream.indexOf("/") + 1) : stream,
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined
      ? {}
      : {
          credentials: {
            access_key_id: credentials.accessKeyId,
            secret_access_key: credentials.secretAccessKey,
            ...(credentials.sessionToken === undefined ? {} : { session_token: credentials.sessionToken }),
          },
        }),
    from: moment ?? (start === "latest" ? "LATEST" : "TRIM_HORIZON"),
  };
}

function pubsubOf(
  source: string,
  { subscription, idempotencyWindowMs }: PubsubConnector,
  { projectId, emulator }: NonNullable<ConnectionsConfig["pubsub"]>,
): BeamPubsub {
  const isWhole = subscription.startsWith("projects/");
  if (!isWhole && projectId === undefined) {
    throw millraceError(
      "BEAM_SOURCE_UNSUPPORTED",
      `Source '${source}' names the subscription '${subscription}' without its project: write projects/P/subscriptions/${subscription}, or set pubsub.projectId (MILLRACE_PUBSUB_PROJECT).`,
    );
  }
  const address = emulator ?? process.env.PUBSUB_EMULATOR_HOST;
  return {
    subscription: isWhole ? subscription : `projects/${projectId}/subscriptions/${subscription}`,
    ...(address === undefined ? {} : { emulator: address }),
    remember_ms: idempotencyWindowMs,
  };
}

/** What the Java client needs to reach a cluster. @throws `BEAM_KAFKA_UNSUPPORTED` */
function kafkaOf(
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
