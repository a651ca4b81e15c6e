import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConnectionsConfig } from "../config/connections.ts";
import type { FileReplayConnector, KafkaConnector } from "../definitions/connector.ts";
import { millraceError } from "../definitions/errors.ts";
import type { SourceMeta } from "../definitions/source.ts";
import { stageTableFiles } from "../feature_store/offline/duckdb-table-files.ts";
import type { IdempotencyLog } from "../ingestion/idempotency-log.ts";
import type { MessageSource } from "../ingestion/message-source.ts";
import { fileReplay } from "../ingestion/sources/file-replay.ts";
import type { KafkaSourceOptions } from "../ingestion/sources/kafka-options.ts";
import { kafkaSource } from "../ingestion/sources/kafka-source.ts";
import { kinesisSource } from "../ingestion/sources/kinesis-source.ts";
import { lateSource } from "../ingestion/sources/late-source.ts";
import { pubsubSource } from "../ingestion/sources/pubsub-source.ts";
import type { ReplayClock } from "../ingestion/sources/replay-clock.ts";
import { leasedPartition, type SharedLeasesOptions, sharedLeases } from "./shared-leases.ts";

export interface SourceReaderOptions {
  readonly source: SourceMeta;
  readonly connections: ConnectionsConfig;
  readonly clock: ReplayClock;
  /** Remembers ids of messages, for transports that bring some again. */
  readonly idempotencyLog: IdempotencyLog;
  /** Where processes share what a transport does not share out itself; null: this process reads all. */
  readonly shared: Pick<SharedLeasesOptions, "leases" | "holder"> | null;
  /** Where copies of files from elsewhere are kept. Default: in the system's folder for temporary files. */
  readonly filesFolder?: string;
}

/** The reading end of a source's connector; null for those that are only pushed to, and for memory sources. */
export function sourceReader(options: SourceReaderOptions): MessageSource | null {
  const { source, connections, shared } = options;
  const { connector } = source;
  switch (connector.connector) {
    case "file_replay":
      return replayOf(source, options.clock, connector);
    case "table_files": {
      const { filesFolder = join(tmpdir(), "millrace-files"), clock } = options;
      return lateSource({ monotonePositions: true, endless: false }, async () => {
        const path = await stageTableFiles(source, connector, filesFolder);
        return replayOf(source, clock, { paths: [path], format: null, nullTexts: [] });
      });
    }
    case "kafka":
      return kafkaSource(kafkaOptionsOf(source, connections));
    case "kinesis":
      return kinesisSource({
        ...connections.kinesis,
        stream: connector.stream,
        start: connector.start,
        ...(shared === null ? {} : { leases: sharedLeases({ ...shared, source: source.name }) }),
      });
    case "pubsub":
      return pubsubSource({
        ...connections.pubsub,
        subscription: connector.subscription,
        idempotencyLog: options.idempotencyLog,
        ...(shared === null
          ? {}
          : { partition: leasedPartition({ ...shared, source: source.name, prefix: "pubsub:" }) }),
      });
    case "http_push":
    case "memory":
      return null;
  }
}

/** @throws `CONFIG_INVALID` if the source's cluster is not configured */
export function kafkaOptionsOf(source: SourceMeta, connections: ConnectionsConfig): KafkaSourceOptions {
  const connector = source.connector as KafkaConnector;
  const cluster = connections.kafka?.[connector.cluster];
  if (cluster === undefined) {
    throw millraceError(
      "CONFIG_INVALID",
      `Source '${source.name}' reads the Kafka cluster '${connector.cluster}', which is not configured: set connections.kafka.${connector.cluster}.brokers${connector.cluster === "default" ? ", or MILLRACE_KAFKA_BROKERS" : ""}.`,
    );
  }
  const { groupId = "millrace", ...connection } = cluster;
  // Each source has a group of its own: members of one group read the same topics.
  const group = connector.group ?? `${groupId}-${source.name}`;
  return { ...connection, topics: connector.topics, groupId: group, start: connector.start };
}

function replayOf(
  source: SourceMeta,
  clock: ReplayClock,
  connector: Pick<FileReplayConnector, "paths" | "format" | "nullTexts">,
): MessageSource {
  const arrival = source.columns.find((column) => column.name === source.ingestedAt);
  return fileReplay({
    paths: connector.paths,
    columns: source.columns,
    eventTime: source.eventTime,
    nulls: connector.nullTexts,
    clock,
    name: source.name,
    ...(connector.format === null ? {} : { format: connector.format }),
    ...(arrival === undefined ? {} : { ingestedAt: arrival }),
  });
}
