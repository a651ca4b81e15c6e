import type { StoredValue, ValueKey } from "../../feature_engineering/engine/feature-sink.ts";
import { storeError } from "../store-error.ts";
import type { Fetched, FetchOptions } from "./online-store.ts";
import type { RedisClient } from "./redis-client.ts";
import { type RedisArgument, type RedisCommand, redisCommand } from "./redis-command.ts";
import { redisError, redisTimeout } from "./redis-error.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { readValue } from "./redis-value.ts";

export interface RedisReadQueueOptions {
  readonly client: RedisClient;
  readonly keys: RedisKeys;
  /** The deadline of a read that sets none, milliseconds. */
  readonly timeoutMs: number;
  /** Reads beyond so many waiting ones are refused at once. */
  readonly maxWaiting: number;
}

/**
 * The reads of requests. While round trips are under way, new reads wait and then share one: a key that several small
 * reads want is fetched once, and a burst costs few commands. No read is answered by a command that was sent before it came.
 */
export interface RedisReadQueue {
  fetch(keys: readonly ValueKey[], facts: readonly string[], options?: FetchOptions): Promise<Fetched>;
  close(): void;
}

interface Read {
  readonly keys: readonly ValueKey[];
  readonly facts: readonly string[];
  readonly partial: boolean;
  readonly values: (StoredValue | null | undefined)[];
  readonly factTexts: (string | null | undefined)[];
  /** Parts that have no answer yet. */
  left: number;
  /** Answers to an earlier attempt are not counted. */
  attempt: number;
  settled: boolean;
  readonly finish: (error: Error | null) => void;
}

/** What one command fetches: for read `reads[i]` its key `indexes[i]`, at `positions[i]` of the reply. */
interface Part {
  readonly command: RedisCommand;
  readonly reads: Read[];
  readonly attempts: number[];
  readonly indexes: number[];
  readonly positions: number[];
  readonly isFacts: boolean;
  /** Several want one position: each gets bytes of its own. */
  shared: boolean;
}

const KEYS_PER_COMMAND = 2_000;
/** Reads of more keys do not look for those that others want too: telling them apart costs more than fetching them. */
const SHARED_KEYS = 16;
const ATTEMPTS = 3;
/** Round trips at once: on a cluster a slow node must not hold up the others. */
const IN_FLIGHT = { single: 2, cluster: 16 };
const CONNECTION_LOST = /connection|closed|writeable|aborted|ECONN|EPIPE|isn't ready/i;

export function createRedisReadQueue(options: RedisReadQueueOptions): RedisReadQueue {
  const { client, keys, timeoutMs, maxWaiting } = options;
  const atOnce = client.isCluster ? IN_FLIGHT.cluster : IN_FLIGHT.single;
  const slotOf = (shard: number): number => keys.slots[shard] ?? -1;
  let waiting: Read[] = [];
  let unsettled = 0;
  let inFlight = 0;
  let scheduled = false;
  let closed = false;

  function schedule(): void {
    if (scheduled || inFlight >= atOnce || !client.usable) return;
    scheduled = true;
    // Alone, at once; else together with what this turn of the event loop still brings.
    if (inFlight === 0) queueMicrotask(flush);
    else setImmediate(flush);
  }

  function flush(): void {
    scheduled = false;
    if (inFlight >= atOnce || !client.usable) return;
    const reads = waiting.filter((read) => !read.settled);
    waiting = [];
    if (reads.length === 0) return;
    inFlight++;
    const parts = partsOf(reads);
    const replies = client.send(parts.map((part) => part.command));
    let left = parts.length;
    const answered = (): void => {
      if (--left > 0) return;
      inFlight--;
      if (waiting.length > 0) flush();
    };
    for (let i = 0; i < parts.length; i++) {
      replies[i]!.then(
        (reply) => {
          accept(parts[i]!, reply as unknown[]);
          answered();
        },
        (error: unknown) => {
          refuse(parts[i]!, error);
          answered();
        },
      );
    }
  }

  function partsOf(reads: readonly Read[]): Part[] {
    const parts: Part[] = [];
    const building = new Map<number, { part: Omit<Part, "command">; names: RedisArgument[]; shard: number }>();
    const known = reads.length > 1 ? new Map<string, number>() : null;
    const close = (shard: number): void => {
      const built = building.get(shard);
      if (built === undefined) return;
      building.delete(shard);
      parts.push({ ...built.part, command: redisCommand("mget", built.names, slotOf(shard)) });
    };
    for (const read of reads) {
      const mayShare = known !== null && read.keys.length <= SHARED_KEYS;
      for (let index = 0; index < read.keys.length; index++) {
        const { keyspace, key } = read.keys[index]!;
        const shard = keys.shardOf(key);
        let built = building.get(shard);
        if (built !== undefined && built.names.length === KEYS_PER_COMMAND) {
          close(shard);
          // Positions are of the command that was just closed.
          known?.clear();
          built = undefined;
        }
        if (built === undefined) {
          built = {
            part: { reads: [], attempts: [], indexes: [], positions: [], isFacts: false, shared: false },
            names: [],
            shard,
          };
          building.set(shard, built);
        }
        const id = mayShare ? `${keyspace}:${latin1(key)}` : "";
        let position = mayShare ? known!.get(id) : undefined;
        if (position === undefined) {
          position = built.names.push([keys.valuePrefix(keyspace, shard), key]) - 1;
          if (mayShare) known!.set(id, position);
        } else {
          built.part.shared = true;
        }
        built.part.reads.push(read);
        built.part.attempts.push(read.attempt);
        built.part.indexes.push(index);
        built.part.positions.push(position);
      }
    }
    for (const shard of [...building.keys()]) close(shard);
    const facts = factsPart(reads);
    if (facts !== null) parts.push(facts);
    return parts;
  }

  function factsPart(reads: readonly Read[]): Part | null {
    const part: Omit<Part, "command"> = {
      reads: [],
      attempts: [],
      indexes: [],
      positions: [],
      isFacts: true,
      shared: false,
    };
    const names = new Map<string, number>();
    for (const read of reads) {
      for (let index = 0; index < read.facts.length; index++) {
        const name = read.facts[index]!;
        let position = names.get(name);
        if (position === undefined) {
          position = names.size;
          names.set(name, position);
        }
        part.reads.push(read);
        part.attempts.push(read.attempt);
        part.indexes.push(index);
        part.positions.push(position);
      }
    }
    if (names.size === 0) return null;
    return { ...part, command: redisCommand("hmget", [keys.facts, ...names.keys()], slotOf(0)) };
  }

  function accept(part: Part, reply: readonly unknown[]): void {
    for (let i = 0; i < part.reads.length; i++) {
      const read = part.reads[i]!;
      if (read.settled || read.attempt !== part.attempts[i]) continue;
      const index = part.indexes[i]!;
      const found = reply[part.positions[i]!];
      if (part.isFacts) {
        read.factTexts[index] = found === null ? null : String(found);
      } else {
        try {
          read.values[index] = readValue(found, client.place, part.shared);
        } catch (error) {
          read.finish(error as Error);
          continue;
        }
      }
      if (--read.left === 0) read.finish(null);
    }
  }

  function refuse(part: Part, error: unknown): void {
    const again = new Set<Read>();
    const retry = error instanceof Error && CONNECTION_LOST.test(error.message);
    for (let i = 0; i < part.reads.length; i++) {
      const read = part.reads[i]!;
      if (read.settled || read.attempt !== part.attempts[i]) continue;
      // A read changes nothing: it is sent again, to whoever answers now.
      if (retry && read.attempt < ATTEMPTS && !closed) again.add(read);
      else if (!read.partial) read.finish(redisError(error, client.place));
      else if (--read.left === 0) read.finish(null);
    }
    for (const read of again) {
      read.attempt++;
      read.left = read.keys.length + read.facts.length;
      waiting.push(read);
    }
    if (again.size > 0) schedule();
  }

  client.onUsable(() => {
    if (waiting.length > 0) schedule();
  });

  return {
    fetch(wanted, facts, { deadlineMs = timeoutMs, partial = false } = {}) {
      return new Promise((resolve, reject) => {
        const values = new Array<StoredValue | null | undefined>(wanted.length).fill(undefined);
        const factTexts = new Array<string | null | undefined>(facts.length).fill(undefined);
        if (closed) {
          reject(closedError(client.place));
          return;
        }
        if (wanted.length + facts.length === 0) {
          resolve({ values, facts: factTexts });
          return;
        }
        if (unsettled >= maxWaiting) {
          if (partial) resolve({ values, facts: factTexts });
          else reject(tooMany(client.place, maxWaiting));
          return;
        }
        const timer = setTimeout(
          () => read.finish(partial ? null : redisTimeout(client.place, deadlineMs)),
          Math.max(1, deadlineMs),
        );
        const read: Read = {
          keys: wanted,
          facts,
          partial,
          values,
          factTexts,
          left: wanted.length + facts.length,
          attempt: 1,
          settled: false,
          finish(error) {
            if (read.settled) return;
            read.settled = true;
            unsettled--;
            clearTimeout(timer);
            // Those that gave up waiting are not kept while the store is away.
            if (waiting.length > 2 * unsettled + 1_000) waiting = waiting.filter((other) => !other.settled);
            if (error === null) resolve({ values, facts: factTexts });
            else reject(error);
          },
        };
        unsettled++;
        waiting.push(read);
        schedule();
      });
    },
    close() {
      closed = true;
      for (const read of waiting.splice(0)) read.finish(closedError(client.place));
    },
  };
}

function latin1(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}

/** What a store says after `close`. */
export function closedError(place: string): Error {
  return storeError("ONLINE_STORE_UNAVAILABLE", `The online store at ${place} is closed: open a new one.`);
}

function tooMany(place: string, maxWaiting: number): Error {
  return storeError(
    "ONLINE_STORE_UNAVAILABLE",
    `The online store at ${place} is slow or away, and ${maxWaiting} reads wait for it already: try again.`,
    { kind: "operational", details: { place } },
  );
}
