import { ingestionError } from "../ingestion-error.ts";
import type { MessageSource, RawBatch, ResumePosition } from "../message-source.ts";
import { soleLeases } from "../partition-leases.ts";
import type { RawMessage } from "../stream-message.ts";
import { arrivals } from "./arrivals.ts";
import { deaggregate } from "./kinesis-aggregate.ts";
import {
  type KinesisApi,
  type KinesisRecords,
  type KinesisShard,
  kinesisApi,
  type ShardStart,
} from "./kinesis-client.ts";
import { readCursor, type ShardCursor, writeCursor } from "./kinesis-cursor.ts";
import type { KinesisSourceOptions } from "./kinesis-options.ts";

/** A shard that this process reads. */
interface Reading {
  readonly shard: KinesisShard;
  cursor: ShardCursor;
  /** The last offset that was given; offsets are counted here, since sequence numbers do not fit into a number. */
  offset: number;
  iterator: string | null;
  ready: RawBatch | null;
  busy: boolean;
  /** True once its end was read. */
  ended: boolean;
  /** Not to be asked before; monotone milliseconds. */
  askAt: number;
  /** Answers in a row that said to slow down. */
  throttled: number;
  /** Null until the first answer. */
  behindMs: number | null;
}

const NONE: Readonly<Record<string, string>> = Object.freeze({});
/** The longest pause after Kinesis throttles, milliseconds. */
const LONGEST_PAUSE_MS = 8_000;

/**
 * Reads all shards of a Kinesis stream: parents to their end before their children, each shard by the process that holds
 * its lease. Partitions are named by the shard. Where a shard goes on is kept in the cold store, in the transaction that
 * commits its records; a shard's end is such a position too, and never regresses.
 *
 * Records of the Kinesis Producer Library are taken apart. Enhanced fan-out is not used.
 *
 * Errors: `KINESIS_UNAVAILABLE` (tried again), `KINESIS_DENIED`, `KINESIS_STREAM_UNKNOWN`, `PACKAGE_MISSING`.
 */
export function kinesisSource(options: KinesisSourceOptions): MessageSource {
  const leases = options.leases ?? soleLeases();
  const idleMs = options.idleMs ?? 250;
  const balanceMs = options.balanceMs ?? 5_000;
  const most = options.maxRecords ?? 10_000;
  let api: KinesisApi | null = null;
  let resume: ResumePosition = async () => ({ offset: -1, cursor: null });
  let readings = new Map<string, Reading>();
  /** What shards that have ended were started from; they stay ended. */
  const ends = new Map<string, ShardCursor>();
  let balanceAt = 0;
  let failure: unknown = null;
  const arrived = arrivals();
  let turn = 0;
  let stop = new AbortController();

  async function known(shard: string): Promise<ShardCursor | null> {
    const ended = ends.get(shard);
    if (ended !== undefined) return ended;
    const { cursor } = await resume(shard, "look");
    if (cursor === null) return null;
    const found = readCursor(cursor, shard);
    if (found.position.at === "end") ends.set(shard, found);
    return found;
  }

  /** The shards that may be read now: not read to the end, all parents read to theirs. */
  async function readable(shards: readonly KinesisShard[]): Promise<KinesisShard[]> {
    const listed = new Set(shards.map((shard) => shard.id));
    const found: KinesisShard[] = [];
    for (const shard of shards) {
      if ((await known(shard.id))?.position.at === "end") continue;
      let waits = false;
      // A parent that is not listed any more has no records left.
      for (const parent of shard.parents) {
        if (listed.has(parent) && (await known(parent))?.position.at !== "end") waits = true;
      }
      if (!waits) found.push(shard);
    }
    return found;
  }

  async function balance(connected: KinesisApi): Promise<void> {
    const candidates = await readable(await connected.shards());
    const held = await leases.balance(candidates.map((shard) => shard.id));
    const next = new Map<string, Reading>();
    for (const shard of candidates) {
      if (!held.has(shard.id)) continue;
      next.set(shard.id, readings.get(shard.id) ?? (await start(shard)));
    }
    readings = next;
  }

  async function start(shard: KinesisShard): Promise<Reading> {
    const { offset, cursor } = await resume(shard.id);
    const reading: Reading = {
      shard,
      cursor: cursor === null ? await firstCursor(shard) : readCursor(cursor, shard.id),
      offset,
      iterator: null,
      ready: null,
      busy: false,
      ended: false,
      askAt: 0,
      throttled: 0,
      behindMs: null,
    };
    // Where `latest` was must be known after a restart, also if nothing came.
    if (cursor === null && reading.cursor.from !== null) reading.ready = batchOf(reading, []);
    return reading;
  }

  async function firstCursor(shard: KinesisShard): Promise<ShardCursor> {
    const parents = (await Promise.all(shard.parents.map(known))).filter((cursor) => cursor !== null);
    const inherited = parents.map((parent) => parent.from).filter((from) => from !== null);
    const start = options.start ?? "earliest";
    const from =
      parents.length > 0
        ? inherited.length > 0
          ? Math.max(...inherited)
          : null
        : start === "earliest"
          ? null
          : start === "latest"
            ? Date.now()
            : start;
    return { position: from === null ? { at: "trim" } : { at: "time", time: from }, from };
  }

  function batchOf(reading: Reading, messages: readonly RawMessage[]): RawBatch {
    // A position without messages takes an offset too: only what moves is committed.
    if (messages.length === 0 || reading.cursor.position.at === "end") reading.offset++;
    return {
      partition: reading.shard.id,
      messages,
      lastOffset: reading.offset,
      cursor: writeCursor(reading.cursor),
    };
  }

  async function ask(connected: KinesisApi, reading: Reading): Promise<void> {
    reading.busy = true;
    const asked = performance.now();
    try {
      reading.iterator ??= await connected.iterator(reading.shard.id, reading.cursor.position as ShardStart);
      const answer = await connected.records(reading.iterator, most, stop.signal);
      if (answer === null) {
        reading.iterator = null;
      } else if (answer === "slow_down") {
        const pause = Math.min(LONGEST_PAUSE_MS, idleMs * 2 ** reading.throttled++);
        reading.askAt = asked + pause * (0.5 + Math.random());
      } else {
        reading.throttled = 0;
        take(reading, answer);
        // A shard that is behind is read as fast as it answers.
        if (answer.behindMs === 0 || answer.records.length === 0) reading.askAt = asked + idleMs;
      }
    } catch (error) {
      reading.iterator = null;
      if (!stop.signal.aborted) failure ??= error;
    } finally {
      reading.busy = false;
      arrived.note();
    }
  }

  function take(reading: Reading, { records, next, behindMs }: KinesisRecords): void {
    const messages: RawMessage[] = [];
    for (const record of records) {
      const ingestedAt = record.ApproximateArrivalTimestamp?.getTime() ?? Date.now();
      for (const { data, partitionKey } of deaggregate(record.Data!, record.PartitionKey ?? "")) {
        messages.push({
          partition: reading.shard.id,
          offset: ++reading.offset,
          key: Buffer.from(partitionKey, "utf8"),
          value: data,
          ingestedAt,
          headers: NONE,
        });
      }
    }
    reading.behindMs = behindMs;
    reading.iterator = next;
    reading.ended = next === null;
    const last = records.at(-1)?.SequenceNumber;
    if (last === undefined && !reading.ended) return;
    const { from } = reading.cursor;
    reading.cursor = reading.ended
      ? { position: { at: "end" }, from }
      : { position: { at: "after", sequence: last! }, from };
    reading.ready = batchOf(reading, messages);
  }

  function nextBatch(): RawBatch | null {
    const all = [...readings.values()];
    for (let i = 0; i < all.length; i++) {
      const reading = all[(turn + i) % all.length]!;
      if (reading.ready === null) continue;
      turn = (turn + i + 1) % all.length;
      const batch = reading.ready;
      reading.ready = null;
      return batch;
    }
    return null;
  }

  /** Resolves when something may have changed; rejects when `signal` aborts. */
  function change(signal: AbortSignal): Promise<void> {
    const due = Math.min(balanceAt, ...[...readings.values()].filter((r) => !r.busy && !r.ended).map((r) => r.askAt));
    return arrived.next(Math.max(1, due - performance.now()), signal);
  }

  return {
    capabilities: { monotonePositions: true, endless: true },
    async open(resumePosition) {
      resume = resumePosition;
      readings = new Map();
      ends.clear();
      failure = null;
      balanceAt = 0;
      stop = new AbortController();
      api = await kinesisApi(options);
      await api.shards();
    },
    async fetch(_maxMessages, signal) {
      while (true) {
        signal.throwIfAborted();
        if (api === null) throw ingestionError("SOURCE_NOT_OPEN", "The Kinesis source is not open.", { kind: "bug" });
        if (performance.now() >= balanceAt) {
          await balance(api);
          balanceAt = performance.now() + balanceMs;
        }
        const batch = nextBatch();
        const now = performance.now();
        for (const reading of readings.values()) {
          if (!reading.busy && !reading.ended && reading.ready === null && now >= reading.askAt) void ask(api, reading);
        }
        if (batch !== null) return batch;
        if (failure !== null) {
          const error = failure;
          failure = null;
          throw error;
        }
        await change(signal);
      }
    },
    async checkpoint(shard, offset) {
      const reading = readings.get(shard);
      // Its children may be read now.
      if (reading?.ended === true && offset >= reading.offset) balanceAt = 0;
    },
    lost(shard) {
      if (readings.delete(shard)) balanceAt = 0;
    },
    async lag() {
      return [...readings.values()].map(({ shard, behindMs }) => ({
        partition: shard.id,
        messages: null,
        seconds: behindMs === null ? null : behindMs / 1_000,
      }));
    },
    async close() {
      if (api === null) return;
      stop.abort();
      arrived.note();
      await leases.release();
      api.close();
      api = null;
    },
  };
}
