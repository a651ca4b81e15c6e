import { readFile } from "node:fs/promises";
import type { ClusterMetadata, Connection, Consumer, MessagesStream } from "@platformatic/kafka";
import { ingestionError } from "../ingestion-error.ts";
import { kafkaError } from "./kafka-errors.ts";
import type { KafkaConnectionOptions, KafkaSasl, KafkaSourceOptions } from "./kafka-options.ts";

type Client = typeof import("@platformatic/kafka");
type FetchApi = Client["fetchV17"]["api"];
export type KafkaMetadata = ClusterMetadata;
export type KafkaFetchResponse = Awaited<ReturnType<FetchApi["async"]>>;

/** One partition of a fetch request. */
export interface KafkaFetchPartition {
  readonly topicId: string;
  readonly partition: number;
  readonly offset: number;
  /** Of the leader that is asked: a broker that led under an earlier one, or follows, refuses; −1 asks any. */
  readonly leaderEpoch: number;
}

export interface KafkaPartitionId {
  readonly topic: string;
  readonly index: number;
}

/** A member of a consumer group that fetches by itself: the group says which partitions are its own, nothing else. */
export interface KafkaMember {
  /** False once the client has given the membership up, as it does when brokers fail at the wrong moment: join anew. */
  isMember(): boolean;
  /** The partitions that the group gave to this member; another list after each rebalance. */
  assignments(): readonly { readonly topic: string; readonly partitions: readonly number[] }[] | null;
  metadata(fresh: boolean): Promise<KafkaMetadata>;
  /** Of one broker; waits there up to the source's `maxWaitMs`. Errors of single partitions are in the answer. */
  fetch(node: number, partitions: readonly KafkaFetchPartition[]): Promise<KafkaFetchResponse>;
  /** The group's committed offset; null if it has none. */
  committed(partition: KafkaPartitionId): Promise<number | null>;
  /** The oldest offset, the next one, or the first at or after a time (epoch ms; null if there is none). */
  offsetAt(partition: KafkaPartitionId, at: "earliest" | "latest" | number): Promise<number | null>;
  commit(offsets: readonly (KafkaPartitionId & { readonly offset: number })[]): Promise<void>;
  close(): Promise<void>;
}

/** `EARLIEST_TIMESTAMP` and `LATEST_TIMESTAMP` of ListOffsets. */
export const EARLIEST: bigint = -2n;
export const LATEST: bigint = -1n;

/** A rebalance is over by then; milliseconds. */
const INACTIVE_MS = 60_000;

export async function importKafka(): Promise<Client> {
  try {
    return await import("@platformatic/kafka");
  } catch (cause) {
    throw ingestionError(
      "PACKAGE_MISSING",
      "Kafka sources need the package @platformatic/kafka, which is not installed: npm install @platformatic/kafka",
      { cause },
    );
  }
}

/** For any of the client's objects. */
export function connectionOptions(options: KafkaConnectionOptions): object {
  const { tls, sasl } = options;
  return {
    clientId: options.clientId ?? "millrace",
    bootstrapBrokers: [...options.brokers],
    connectTimeout: 5_000,
    ...(tls === undefined || tls === false ? {} : { tls: tls === true ? {} : tlsOptions(tls) }),
    ...(typeof tls === "object" && tls.serverName !== undefined ? { tlsServerName: tls.serverName } : {}),
    ...(sasl === undefined ? {} : { sasl: saslOptions(sasl) }),
  };
}

function saslOptions(sasl: KafkaSasl): object {
  if (!("tokenFile" in sasl)) return sasl;
  const { mechanism, tokenFile } = sasl;
  return { mechanism, token: async () => (await readFile(tokenFile, "utf8")).trim() };
}

function tlsOptions({
  ca,
  cert,
  key,
  rejectUnauthorized,
}: Exclude<KafkaConnectionOptions["tls"], boolean | undefined>): object {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
}

/** Connects and joins the group. @throws `KAFKA_UNAVAILABLE`, `KAFKA_DENIED`, `KAFKA_TOPIC_UNKNOWN`, `PACKAGE_MISSING` */
export async function joinKafka(options: KafkaSourceOptions): Promise<KafkaMember> {
  const client = await importKafka();
  const { brokers, topics } = options;
  const doing = async <T>(what: string, run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (cause) {
      throw kafkaError(cause, brokers, what, options.tls !== undefined && options.tls !== false);
    }
  };
  const consumer = new client.Consumer({
    ...connectionOptions(options),
    groupId: options.groupId,
    autocommit: false,
    maxWaitTime: options.maxWaitMs ?? 250,
    retries: 1,
    ...(options.groupProtocol === "consumer"
      ? { groupProtocol: "consumer" }
      : {
          sessionTimeout: options.sessionTimeoutMs ?? 10_000,
          rebalanceTimeout: Math.max(options.sessionTimeoutMs ?? 10_000, 60_000),
          heartbeatInterval: Math.min(3_000, (options.sessionTimeoutMs ?? 10_000) / 3),
        }),
  } as ConstructorParameters<Client["Consumer"]>[0]) as Consumer;
  // Trouble of the group's heartbeat shows in the requests too, which throw it where somebody waits for it.
  consumer.on("error", () => {});
  // Fetches have connections of their own: a broker answers the requests of one connection in order.
  const pools = new client.ConnectionPool(options.clientId ?? "millrace", connectionOptions(options) as never);
  const closeConsumer = async (): Promise<void> => {
    await Promise.resolve(consumer.close(true)).catch(() => {});
  };
  const closePools = async (): Promise<void> => {
    await Promise.resolve(pools.close()).catch(() => {});
  };
  let stream: MessagesStream<Buffer, Buffer, Buffer, Buffer>;
  try {
    await doing("describing its topics", () => consumer.metadata({ topics: [...topics] }));
    // The stream is never read: it keeps the membership alive in both group protocols.
    stream = await doing("joining the group", () =>
      consumer.consume({ topics: [...topics], autocommit: false, mode: "earliest" }),
    );
    stream.on("error", () => {});
  } catch (error) {
    await closeConsumer();
    await closePools();
    throw error;
  }

  const connectionTo = (metadata: KafkaMetadata, node: number): Promise<Connection> => {
    const broker = metadata.brokers.get(node);
    if (broker === undefined)
      return Promise.reject(
        ingestionError("KAFKA_UNAVAILABLE", `Kafka has no broker ${node} at present.`, { kind: "operational" }),
      );
    return pools.get(broker);
  };
  const metadata: KafkaMember["metadata"] = (fresh) =>
    doing("describing its topics", () => consumer.metadata({ topics: [...topics], forceUpdate: fresh }));
  const api = Promise.withResolvers<FetchApi>();
  // All versions that are offered take and give the same.
  consumer[client.kGetApi]<Parameters<FetchApi>, KafkaFetchResponse>("Fetch", (error, found) =>
    found === undefined ? api.reject(error) : api.resolve(found as unknown as FetchApi),
  );
  api.promise.catch(() => {});

  let inactiveSince: number | null = null;

  return {
    isMember() {
      // A stream that ended has taken its topics out of the subscription: the group gives this member nothing any more.
      if (stream.destroyed) return false;
      if (consumer.isActive()) inactiveSince = null;
      else inactiveSince ??= performance.now();
      return inactiveSince === null || performance.now() - inactiveSince < INACTIVE_MS;
    },
    assignments: () => consumer.assignments,
    metadata,
    async fetch(node, partitions) {
      const cluster = await metadata(false);
      return doing("fetching", async () => {
        const connection = await connectionTo(cluster, node);
        const byTopic = Map.groupBy(partitions, (partition) => partition.topicId);
        try {
          return await (await api.promise).async(
            connection,
            options.maxWaitMs ?? 250,
            1,
            options.maxBytes ?? 8 * 2 ** 20,
            client.FetchIsolationLevels.READ_COMMITTED,
            0,
            -1,
            [...byTopic].map(([topicId, wanted]) => ({
              topicId,
              partitions: wanted.map(({ partition, offset, leaderEpoch }) => ({
                partition,
                currentLeaderEpoch: leaderEpoch,
                fetchOffset: BigInt(offset),
                lastFetchedEpoch: -1,
                partitionMaxBytes: options.maxPartitionBytes ?? 2 ** 20,
              })),
            })),
            [],
            "",
          );
        } catch (error) {
          // Errors of single partitions come with what the others answered.
          if (error instanceof client.ResponseError && error.response !== undefined)
            return error.response as KafkaFetchResponse;
          throw error;
        }
      });
    },
    async committed({ topic, index }) {
      const offsets = await doing("reading the group's offsets", () =>
        consumer.listCommittedOffsets({ topics: [{ topic, partitions: [index] }] }),
      );
      const offset = offsets.get(topic)?.at(-1) ?? -1n;
      return offset < 0n ? null : Number(offset);
    },
    async offsetAt({ topic, index }, at) {
      const timestamp = at === "earliest" ? EARLIEST : at === "latest" ? LATEST : BigInt(at);
      const offsets = await doing("looking up where to start", () =>
        consumer.listOffsets({ topics: [topic], partitions: { [topic]: [index] }, timestamp }),
      );
      const offset = offsets.get(topic)?.[index] ?? -1n;
      return offset < 0n ? null : Number(offset);
    },
    commit: (offsets) =>
      doing("committing offsets", () =>
        consumer.commit({
          offsets: offsets.map(({ topic, index, offset }) => ({
            topic,
            partition: index,
            offset: BigInt(offset),
            leaderEpoch: -1,
          })),
        }),
      ),
    async close() {
      stream.destroy();
      await closePools();
      await closeConsumer();
    },
  };
}
