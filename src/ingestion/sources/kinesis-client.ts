import type { GetRecordsCommandOutput, KinesisClient, Shard } from "@aws-sdk/client-kinesis";
import type { MillraceError } from "../../definitions/errors.ts";
import { ingestionError } from "../ingestion-error.ts";
import type { KinesisSourceOptions } from "./kinesis-options.ts";

export interface KinesisShard {
  readonly id: string;
  /** One after a split, two after a merge; those that Kinesis forgot already stay named. */
  readonly parents: readonly string[];
}

/** Where a shard is read from. */
export type ShardStart =
  | { readonly at: "trim" }
  | { readonly at: "time"; readonly time: number }
  | { readonly at: "after"; readonly sequence: string };

export interface KinesisRecords {
  readonly records: NonNullable<GetRecordsCommandOutput["Records"]>;
  /** Null when the shard has ended. */
  readonly next: string | null;
  /** How far behind the shard's newest record this answer is, milliseconds. */
  readonly behindMs: number;
}

/** The calls to Kinesis that a consumer needs. */
export interface KinesisApi {
  shards(): Promise<readonly KinesisShard[]>;
  iterator(shard: string, start: ShardStart): Promise<string>;
  /** Null if the iterator has expired; `"slow_down"` if Kinesis throttles. */
  records(iterator: string, most: number, signal: AbortSignal): Promise<KinesisRecords | "slow_down" | null>;
  close(): void;
}

const PACKAGES = "@aws-sdk/client-kinesis and @smithy/node-http-handler";

async function importSdk(): Promise<
  typeof import("@aws-sdk/client-kinesis") & typeof import("@smithy/node-http-handler")
> {
  try {
    return { ...(await import("@aws-sdk/client-kinesis")), ...(await import("@smithy/node-http-handler")) };
  } catch (cause) {
    throw ingestionError(
      "PACKAGE_MISSING",
      `Kinesis sources need the packages ${PACKAGES}, which are not installed: npm install ${PACKAGES.replace(" and", "")}`,
      { cause },
    );
  }
}

/** @throws `PACKAGE_MISSING`; its calls `KINESIS_UNAVAILABLE`, `KINESIS_DENIED`, `KINESIS_STREAM_UNKNOWN` */
export async function kinesisApi(options: KinesisSourceOptions): Promise<KinesisApi> {
  const sdk = await importSdk();
  const { stream } = options;
  const client: KinesisClient = new sdk.KinesisClient({
    // The SDK's default speaks HTTP/2, which proxies and local stand-ins do not.
    requestHandler: new sdk.NodeHttpHandler({ connectionTimeout: 5_000, requestTimeout: 30_000 }),
    maxAttempts: 2,
    ...(options.region === undefined ? {} : { region: options.region }),
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
  });
  const which = stream.startsWith("arn:") ? { StreamARN: stream } : { StreamName: stream };
  return {
    async shards() {
      const found: Shard[] = [];
      let token: string | undefined;
      try {
        do {
          const answer = await client.send(
            new sdk.ListShardsCommand(token === undefined ? which : { NextToken: token }),
          );
          found.push(...(answer.Shards ?? []));
          token = answer.NextToken;
        } while (token !== undefined);
      } catch (cause) {
        throw kinesisError(cause, stream, "listing its shards");
      }
      return found.map((shard) => ({
        id: shard.ShardId!,
        parents: [shard.ParentShardId, shard.AdjacentParentShardId].filter((parent) => parent !== undefined),
      }));
    },
    async iterator(shard, start) {
      try {
        const answer = await client.send(
          new sdk.GetShardIteratorCommand({
            ...which,
            ShardId: shard,
            ...(start.at === "trim"
              ? { ShardIteratorType: "TRIM_HORIZON" }
              : start.at === "time"
                ? { ShardIteratorType: "AT_TIMESTAMP", Timestamp: new Date(start.time) }
                : { ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: start.sequence }),
          }),
        );
        return answer.ShardIterator!;
      } catch (cause) {
        throw kinesisError(cause, stream, `starting to read ${shard}`);
      }
    },
    async records(iterator, most, signal) {
      try {
        const answer = await client.send(new sdk.GetRecordsCommand({ ShardIterator: iterator, Limit: most }), {
          abortSignal: signal,
        });
        return {
          records: answer.Records ?? [],
          next: answer.NextShardIterator ?? null,
          behindMs: answer.MillisBehindLatest ?? 0,
        };
      } catch (cause) {
        const name = cause instanceof Error ? cause.name : "";
        if (name === "ExpiredIteratorException") return null;
        if (/Throughput|LimitExceeded|Throttl/.test(name)) return "slow_down";
        throw kinesisError(cause, stream, "reading records");
      }
    },
    close: () => client.destroy(),
  };
}

/** What the operator must mend stops the loop, everything else is tried again. */
function kinesisError(cause: unknown, stream: string, doing: string): MillraceError {
  const name = cause instanceof Error ? cause.name : "";
  const said = cause instanceof Error ? `${name}: ${cause.message}` : String(cause);
  if (/AccessDenied|UnrecognizedClient|InvalidSignature|MissingAuthentication|CredentialsProvider/.test(name)) {
    return ingestionError(
      "KINESIS_DENIED",
      `Kinesis refuses ${doing} of stream '${stream}' (${said}): check the credentials and the policy (kinesis:ListShards, GetShardIterator, GetRecords).`,
      { kind: "user" },
    );
  }
  if (name === "ResourceNotFoundException") {
    return ingestionError(
      "KINESIS_STREAM_UNKNOWN",
      `There is no Kinesis stream '${stream}' (${said}): make it, or correct the source's stream, region or endpoint.`,
      { kind: "user" },
    );
  }
  return ingestionError("KINESIS_UNAVAILABLE", `Kinesis fails while ${doing} of stream '${stream}': ${said}`, {
    kind: "operational",
    cause,
  });
}
