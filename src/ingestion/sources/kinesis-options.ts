import type { PartitionLeases } from "../partition-leases.ts";

export interface KinesisSourceOptions {
  /** The stream's name or ARN. */
  readonly stream: string;
  /** Default: what the AWS SDK finds in the environment. */
  readonly region?: string;
  /** Another endpoint than AWS's own. */
  readonly endpoint?: string;
  /** Default: the AWS SDK's chain (environment, profile, role). */
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  /**
   * Where a stream begins that the cold store has nothing of: its oldest record, its next one, or the first that
   * arrived at a moment (epoch milliseconds) or later. Default `earliest`.
   */
  readonly start?: "earliest" | "latest" | number;
  /** Records per request and shard. Default 10,000, the most that Kinesis gives. */
  readonly maxRecords?: number;
  /** The least time between two requests of one shard that is read to its end, milliseconds. Default 250: Kinesis allows five a second. */
  readonly idleMs?: number;
  /** How often shards are listed and leases renewed, milliseconds. Default 5,000. */
  readonly balanceMs?: number;
  /** Who reads which shard. Default: this process reads all. */
  readonly leases?: PartitionLeases;
}
