import type { IdempotencyLog } from "../idempotency-log.ts";
import type { OwnPartition } from "../partition-leases.ts";

export interface PubsubSourceOptions {
  /** `projects/P/subscriptions/S`, or the subscription's name if `projectId` is given. */
  readonly subscription: string;
  readonly projectId?: string;
  /** `host:port` of a stand-in; default: Google's, or `PUBSUB_EMULATOR_HOST`. */
  readonly emulator?: string;
  /** Messages delivered and not acknowledged, at most. Default 10,000. */
  readonly maxOutstanding?: number;
  /** Their bytes, at most. Default 64 MiB. */
  readonly maxOutstandingBytes?: number;
  /** The internal partition that this process counts in, no other does. Default: `pubsub:0`, this process is alone. */
  readonly partition?: OwnPartition;
  /** How often its lease is renewed, milliseconds. Default 5,000. */
  readonly keepMs?: number;
  /** Remembers the ids of messages that were committed. Default: in memory, for a day. */
  readonly idempotencyLog?: IdempotencyLog;
  /** Wall clock, epoch milliseconds. */
  readonly now?: () => number;
}
