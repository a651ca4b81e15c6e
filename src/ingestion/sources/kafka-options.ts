/** How to reach a Kafka cluster. Plain data, so that it crosses threads; secrets never reach logs or errors. */
export interface KafkaConnectionOptions {
  /** `host:port` of one broker or more; the others are discovered. */
  readonly brokers: readonly string[];
  /** Default `millrace`. */
  readonly clientId?: string;
  /** True for TLS with the system's authorities; or PEM texts. */
  readonly tls?: boolean | KafkaTls;
  readonly sasl?: KafkaSasl;
}

export interface KafkaTls {
  /** The authorities that may sign the brokers' certificates, PEM. */
  readonly ca?: string;
  /** The client's own certificate and key, PEM, for mutual TLS. */
  readonly cert?: string;
  readonly key?: string;
  /** The name that the brokers' certificates must carry. Default: the broker's host. */
  readonly serverName?: string;
  /** False accepts any certificate: for tests only. Default true. */
  readonly rejectUnauthorized?: boolean;
}

export type KafkaSasl =
  | {
      readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
      readonly username: string;
      readonly password: string;
    }
  /** The token itself, or a file that something keeps a fresh one in: read at each authentication. */
  | { readonly mechanism: "OAUTHBEARER"; readonly token: string }
  | { readonly mechanism: "OAUTHBEARER"; readonly tokenFile: string };

export interface KafkaSourceOptions extends KafkaConnectionOptions {
  readonly topics: readonly string[];
  /** The consumer group; its members share the partitions. */
  readonly groupId: string;
  /** `consumer` is KIP-848, of brokers from 4.0 on. Default `classic`. */
  readonly groupProtocol?: "classic" | "consumer";
  /**
   * Where a partition begins that the cold store has nothing of: the oldest message, the next one, or the first that is
   * not older than a moment (epoch milliseconds). Default `earliest`. Later the cold store's position counts alone.
   */
  readonly start?: "earliest" | "latest" | number;
  /** Bytes per fetch of one broker. Default 8 MiB. */
  readonly maxBytes?: number;
  /** Bytes per fetch of one partition. Default 1 MiB. */
  readonly maxPartitionBytes?: number;
  /** Bytes of all partitions together that are held ready before no more is fetched. Default 64 MiB. */
  readonly readyBytes?: number;
  /** How long a broker waits for messages, milliseconds. Default 250. */
  readonly maxWaitMs?: number;
  /** The group's session timeout, milliseconds. Default 10,000. */
  readonly sessionTimeoutMs?: number;
}
