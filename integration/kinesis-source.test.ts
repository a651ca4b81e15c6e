import { createHash } from "node:crypto";
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
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { memoryLeases } from "../src/feature_store/offline/partition-leases.ts";
import type { MessageSource, ResumePosition } from "../src/ingestion/message-source.ts";
import type { KinesisSourceOptions } from "../src/ingestion/sources/kinesis-options.ts";
import { kinesisSource } from "../src/ingestion/sources/kinesis-source.ts";
import { sharedLeases } from "../src/pipeline/shared-leases.ts";
import { type KinesisServer, kinesisServer } from "./services/kinesis-server.ts";

const CREDENTIALS = { accessKeyId: "tests", secretAccessKey: "tests" };
let streams = 0;

/** What the cold store would keep. */
function memoryPositions(): {
  resume: ResumePosition;
  commit(partition: string, offset: number, cursor?: string): void;
} {
  const known = new Map<string, { offset: number; cursor: string | null }>();
  return {
    resume: async (partition) => known.get(partition) ?? { offset: -1, cursor: null },
    commit(partition, offset, cursor) {
      const before = known.get(partition);
      if (offset <= (before?.offset ?? -1)) return;
      known.set(partition, { offset, cursor: cursor ?? before?.cursor ?? null });
    },
  };
}

/** What the cold store would keep of several workers: a shard is the last one's that took it over. */
function fencedPositions() {
  const known = new Map<string, { owner: string; offset: number; cursor: string | null }>();
  return {
    resume:
      (holder: string): ResumePosition =>
      async (shard, how) => {
        const found = known.get(shard) ?? { owner: holder, offset: -1, cursor: null };
        if (how !== "look") known.set(shard, { ...found, owner: holder });
        return { offset: found.offset, cursor: found.cursor };
      },
    commit(holder: string, shard: string, offset: number, cursor?: string): boolean {
      const found = known.get(shard)!;
      if (found.owner !== holder) return false;
      known.set(shard, { owner: holder, offset, cursor: cursor ?? found.cursor });
      return true;
    },
  };
}

for (const kind of ["kinesalite", "moto"] as const) {
  describe(`a Kinesis source on ${kind}`, () => {
    let server: KinesisServer;
    let client: KinesisClient;
    const opened: MessageSource[] = [];

    beforeAll(async () => {
      server = await kinesisServer(kind);
      client = new KinesisClient({
        region: "eu-west-1",
        endpoint: server.endpoint,
        credentials: CREDENTIALS,
        requestHandler: new NodeHttpHandler(),
      });
    });
    afterAll(async () => {
      for (const source of opened) await source.close();
      client?.destroy();
      await server?.close();
    });

    /** moto changes streams at once, and describes them in a form that the SDK does not read. */
    const active = async (stream: string): Promise<void> => {
      if (kind === "moto") return;
      const status = async (): Promise<string> => {
        const { StreamDescriptionSummary: described } = await client.send(
          new DescribeStreamSummaryCommand({ StreamName: stream }),
        );
        return described!.StreamStatus!;
      };
      await expect.poll(status, { timeout: 60_000 }).toBe("ACTIVE");
    };

    async function newStream(shards: number): Promise<string> {
      const stream = `events-${streams++}`;
      await client.send(new CreateStreamCommand({ StreamName: stream, ShardCount: shards }));
      await active(stream);
      return stream;
    }

    async function put(stream: string, texts: readonly (string | Uint8Array)[]): Promise<void> {
      await client.send(
        new PutRecordsCommand({
          StreamName: stream,
          Records: texts.map((text) => ({ Data: Buffer.from(text as string), PartitionKey: `key ${String(text)}` })),
        }),
      );
    }

    function source(stream: string, options: Partial<KinesisSourceOptions> = {}): MessageSource {
      const made = kinesisSource({
        stream,
        region: "eu-west-1",
        endpoint: server.endpoint,
        credentials: CREDENTIALS,
        idleMs: 20,
        balanceMs: 100,
        ...options,
      });
      opened.push(made);
      return made;
    }

    /** Reads and commits until `count` messages came; gives them by shard. */
    async function read(
      from: MessageSource,
      positions: ReturnType<typeof memoryPositions>,
      count: number,
    ): Promise<Map<string, string[]>> {
      const signal = AbortSignal.timeout(60_000);
      const seen = new Map<string, string[]>();
      for (let left = count; left > 0; ) {
        const batch = (await from.fetch(1_000, signal))!;
        const texts = seen.get(batch.partition) ?? [];
        seen.set(batch.partition, texts);
        for (const message of batch.messages) texts.push(Buffer.from(message.value as Uint8Array).toString());
        left -= batch.messages.length;
        const last = batch.lastOffset ?? batch.messages.at(-1)!.offset;
        positions.commit(batch.partition, last, batch.cursor);
        await from.checkpoint(batch.partition, last);
      }
      return seen;
    }

    const names = (from: number, count: number): string[] => Array.from({ length: count }, (_, i) => `m${from + i}`);
    const all = (seen: Map<string, string[]>): string[] => [...seen.values()].flat().sort();

    it("gives every record of every shard once, and goes on after a restart where it was", async () => {
      const stream = await newStream(3);
      const positions = memoryPositions();
      await put(stream, names(0, 200));
      const first = source(stream, { maxRecords: 7 });
      await first.open(positions.resume);
      const seen = await read(first, positions, 200);
      expect(seen.size).toBe(3);
      expect(all(seen)).toEqual(names(0, 200).sort());
      await first.close();
      await put(stream, names(1_000, 50));
      const second = source(stream);
      await second.open(positions.resume);
      expect(all(await read(second, positions, 50))).toEqual(names(1_000, 50).sort());
      expect((await second.lag()).map((lag) => lag.seconds)).toEqual([0, 0, 0]);
    });

    if (kind === "moto") {
      it("says how far behind the newest record of its shard it is", async () => {
        const stream = await newStream(1);
        await put(stream, ["old"]);
        // Kinesis counts in milliseconds of arrival.
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        await put(stream, ["new"]);
        const from = source(stream, { maxRecords: 1 });
        await from.open(memoryPositions().resume);
        const behind = async (): Promise<number | null> => {
          const batch = await from.fetch(1, AbortSignal.timeout(30_000));
          expect(batch!.messages.length).toBe(1);
          return (await from.lag())[0]!.seconds;
        };
        expect(await behind()).toBeGreaterThan(1);
        await behind();
        await expect.poll(async () => (await from.lag())[0]!.seconds, { timeout: 60_000 }).toBe(0);
      });
    }

    it("reads parents to their end before their children, through a split and a merge under load", async () => {
      const stream = await newStream(1);
      const positions = memoryPositions();
      const from = source(stream, { maxRecords: 5 });
      await put(stream, names(0, 60));
      const [shard] = (await client.send(new ListShardsCommand({ StreamName: stream }))).Shards!;
      await client.send(
        new SplitShardCommand({
          StreamName: stream,
          ShardToSplit: shard!.ShardId!,
          NewStartingHashKey: (2n ** 127n).toString(),
        }),
      );
      await active(stream);
      await put(stream, names(100, 60));
      await from.open(positions.resume);
      const order: string[] = [];
      const signal = AbortSignal.timeout(60_000);
      const take = async (count: number): Promise<void> => {
        for (let left = count; left > 0; ) {
          const batch = (await from.fetch(100, signal))!;
          for (const message of batch.messages) order.push(Buffer.from(message.value as Uint8Array).toString());
          left -= batch.messages.length;
          const last = batch.lastOffset ?? batch.messages.at(-1)!.offset;
          positions.commit(batch.partition, last, batch.cursor);
          await from.checkpoint(batch.partition, last);
        }
      };
      await take(120);
      expect(order.slice(0, 60)).toEqual(names(0, 60));
      expect(order.slice(60).sort()).toEqual(names(100, 60).sort());
      const open = (await client.send(new ListShardsCommand({ StreamName: stream }))).Shards!.filter(
        (s) => s.SequenceNumberRange!.EndingSequenceNumber === undefined,
      );
      await client.send(
        new MergeShardsCommand({
          StreamName: stream,
          ShardToMerge: open[0]!.ShardId!,
          AdjacentShardToMerge: open[1]!.ShardId!,
        }),
      );
      await active(stream);
      await put(stream, names(200, 60));
      await take(60);
      expect(order.slice(120).sort()).toEqual(names(200, 60).sort());
      // A restart neither reads the ended shards again nor loses their end.
      await from.close();
      await put(stream, names(300, 5));
      const later = source(stream);
      await later.open(positions.resume);
      expect(all(await read(later, positions, 5))).toEqual(names(300, 5).sort());
    });

    it("is shared by two workers fairly, and wholly by the one that is left when the other dies", async () => {
      const stream = await newStream(4);
      const store = memoryLeases(() => {});
      const cold = fencedPositions();
      const seen: string[] = [];
      const worker = (holder: string): { readonly from: MessageSource; readonly stop: AbortController } => {
        const leases = sharedLeases({ leases: store, source: "x", holder, forMs: 1_000 });
        const from = source(stream, { leases });
        const stop = new AbortController();
        const run = async (): Promise<void> => {
          await from.open(cold.resume(holder));
          while (true) {
            const batch = (await from.fetch(100, stop.signal))!;
            const last = batch.lastOffset ?? batch.messages.at(-1)!.offset;
            if (!cold.commit(holder, batch.partition, last, batch.cursor)) {
              from.lost!(batch.partition);
              continue;
            }
            for (const message of batch.messages) seen.push(Buffer.from(message.value as Uint8Array).toString());
            await from.checkpoint(batch.partition, last);
          }
        };
        run().catch(() => {});
        return { from, stop };
      };
      await put(stream, names(0, 100));
      const first = worker("a");
      await expect.poll(() => seen.length, { timeout: 60_000 }).toBe(100);
      const second = worker("b");
      const shards = async (): Promise<number[]> => [(await first.from.lag()).length, (await second.from.lag()).length];
      await expect.poll(shards, { timeout: 60_000 }).toEqual([2, 2]);
      await put(stream, names(1_000, 100));
      await expect.poll(() => seen.length, { timeout: 60_000 }).toBe(200);
      // It stands still as a killed process does: its leases end by themselves.
      first.stop.abort();
      await put(stream, names(2_000, 100));
      await expect.poll(() => seen.length, { timeout: 60_000 }).toBe(300);
      expect(seen.sort()).toEqual([...names(0, 100), ...names(1_000, 100), ...names(2_000, 100)].sort());
      expect((await second.from.lag()).length).toBe(4);
      second.stop.abort();
    });

    it("starts at the end if it is told so, and remembers where that was", async () => {
      const stream = await newStream(1);
      const positions = memoryPositions();
      await put(stream, names(0, 10));
      // Stand-ins keep arrival in whole seconds or milliseconds: the next second is later for sure.
      const second = Math.floor(Date.now() / 1_000) + 1;
      await expect.poll(() => Date.now() / 1_000, { timeout: 5_000 }).toBeGreaterThan(second);
      const first = source(stream, { start: "latest" });
      await first.open(positions.resume);
      const marked = (await first.fetch(10, AbortSignal.timeout(30_000)))!;
      expect(marked.messages).toEqual([]);
      positions.commit(marked.partition, marked.lastOffset!, marked.cursor);
      await first.close();
      await expect.poll(() => Date.now() / 1_000, { timeout: 5_000 }).toBeGreaterThan(second + 1);
      await put(stream, names(50, 3));
      const again = source(stream, { start: "latest" });
      await again.open(positions.resume);
      expect(all(await read(again, positions, 3))).toEqual(names(50, 3).sort());
    });

    it("takes aggregated records of the producer library apart", async () => {
      const stream = await newStream(1);
      const positions = memoryPositions();
      const field = (number: number, bytes: Buffer): Buffer =>
        Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
      const body = Buffer.concat([
        field(1, Buffer.from("key a")),
        ...names(0, 4).map((name) => field(3, Buffer.concat([Buffer.from([0x08, 0]), field(3, Buffer.from(name))]))),
      ]);
      const digest = createHash("md5").update(body).digest();
      await put(stream, ["plain", Buffer.concat([Buffer.from([0xf3, 0x89, 0x9a, 0xc2]), body, digest]), "after"]);
      const from = source(stream);
      await from.open(positions.resume);
      expect([...(await read(from, positions, 6)).values()].flat()).toEqual(["plain", ...names(0, 4), "after"]);
    });

    it("says that there is no such stream", async () => {
      await expect(source("nothing").open(memoryPositions().resume)).rejects.toMatchObject({
        code: "KINESIS_STREAM_UNKNOWN",
        kind: "user",
      });
    });
  });
}

it("a Kinesis source that reaches nobody says so, and may be tried again", async () => {
  const nobody = kinesisSource({
    stream: "x",
    region: "eu-west-1",
    endpoint: "http://127.0.0.1:1",
    credentials: CREDENTIALS,
  });
  await expect(nobody.open(memoryPositions().resume)).rejects.toMatchObject({
    code: "KINESIS_UNAVAILABLE",
    kind: "operational",
  });
});
