import { setTimeout as pause } from "node:timers/promises";
import {
  CreateStreamCommand,
  DescribeStreamSummaryCommand,
  KinesisClient,
  ListShardsCommand,
  MergeShardsCommand,
  PutRecordsCommand,
  SplitShardCommand,
} from "@aws-sdk/client-kinesis";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import type { KinesisServerKind } from "../services/kinesis-server.ts";
import type { OrderRow } from "./check-orders.ts";
import { type OrderProducer, orderRows, orderText, POISON } from "./order-producer.ts";

export const KINESIS_CREDENTIALS = { accessKeyId: "tests", secretAccessKey: "tests" };
const REGION = "eu-west-1";

export interface KinesisOrderProducer extends OrderProducer {
  /** Splits the open shard that holds the most hash keys into two halves. */
  split(): Promise<void>;
  /** Merges two open shards that lie side by side. */
  merge(): Promise<void>;
}

export async function kinesisOrderProducer(
  kind: KinesisServerKind,
  endpoint: string,
  { stream, shards }: { readonly stream: string; readonly shards: number },
): Promise<KinesisOrderProducer> {
  const requestHandler = new NodeHttpHandler();
  const client = new KinesisClient({ region: REGION, endpoint, credentials: KINESIS_CREDENTIALS, requestHandler });
  const rows = orderRows();
  const produced: OrderRow[] = [];
  let poison = 0;

  /** moto changes streams at once, and describes them in a form that the SDK does not read. */
  async function active(): Promise<void> {
    if (kind === "moto") return;
    for (const deadline = Date.now() + 20_000; Date.now() < deadline; await pause(20)) {
      const described = await client.send(new DescribeStreamSummaryCommand({ StreamName: stream }));
      if (described.StreamDescriptionSummary!.StreamStatus === "ACTIVE") return;
    }
  }

  /** The open shards with their first and last hash key, in the order of the keys. */
  async function open(): Promise<readonly { readonly id: string; readonly first: bigint; readonly last: bigint }[]> {
    const { Shards: all } = await client.send(new ListShardsCommand({ StreamName: stream }));
    return all!
      .filter(({ SequenceNumberRange: range }) => range!.EndingSequenceNumber === undefined)
      .map(({ ShardId: id, HashKeyRange: range }) => {
        return { id: id!, first: BigInt(range!.StartingHashKey!), last: BigInt(range!.EndingHashKey!) };
      })
      .sort((a, b) => (a.first < b.first ? -1 : 1));
  }

  await client.send(new CreateStreamCommand({ StreamName: stream, ShardCount: shards }));
  await active();
  return {
    stream: { transport: "kinesis", stream },
    produced,
    get poison() {
      return poison;
    },
    async send(count) {
      for (let sent = 0; sent < count; ) {
        const orders = rows.next(Math.min(100, count - sent));
        sent += orders.length;
        const records = orders.map((row) => ({ Data: Buffer.from(orderText(row)), PartitionKey: `${row[0]}` }));
        records.push({ Data: Buffer.from(POISON), PartitionKey: `poison ${poison++}` });
        // What one shard refuses, as throttling does, is sent again.
        for (let left = records; left.length > 0; ) {
          const answer = await client.send(new PutRecordsCommand({ StreamName: stream, Records: left }));
          left = left.filter((_, i) => answer.Records![i]!.ErrorCode !== undefined);
        }
        produced.push(...orders);
      }
    },
    async split() {
      const all = await open();
      const largest = all.reduce((a, b) => (b.last - b.first > a.last - a.first ? b : a));
      const half = ((largest.first + largest.last) / 2n).toString();
      await client.send(
        new SplitShardCommand({ StreamName: stream, ShardToSplit: largest.id, NewStartingHashKey: half }),
      );
      await active();
    },
    async merge() {
      const [one, next] = await open();
      await client.send(
        new MergeShardsCommand({ StreamName: stream, ShardToMerge: one!.id, AdjacentShardToMerge: next!.id }),
      );
      await active();
    },
    close: async () => client.destroy(),
  };
}
