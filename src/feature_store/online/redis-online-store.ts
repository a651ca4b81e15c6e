import type { StoredValue, ValueKey } from "../../feature_engineering/engine/feature-sink.ts";
import type { OnlineStore } from "./online-store.ts";
import { connectRedis, type RedisConnectionOptions, type RedisNode } from "./redis-client.ts";
import { type RedisArgument, redisCommand } from "./redis-command.ts";
import { redisError } from "./redis-error.ts";
import { redisKeys } from "./redis-keys.ts";
import { closedError, createRedisReadQueue } from "./redis-read-queue.ts";
import { SET_FACTS } from "./redis-scripts.ts";
import { checkRedisServer, type RedisDurability } from "./redis-server-check.ts";
import { readValue } from "./redis-value.ts";
import { createRedisWriter, notDurable } from "./redis-writer.ts";

export interface RedisOnlineStoreOptions extends RedisConnectionOptions {
  /** What all of this installation's keys begin with. No braces. Default `millrace:`. */
  readonly keyPrefix?: string;
  /**
   * When a write counts as durable, so that the position of its events may move: `none` (default; what a failover loses
   * is noticed and made again from the offline store), `aof` (it is on the primary's disk: WAITAOF from Redis 7.2 on,
   * before it `appendfsync always`), or so many replicas have it (WAIT).
   */
  readonly durability?: RedisDurability;
  /** How long a command of the write side, or a read without a deadline, may take, milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
  /** Reads of requests that may wait at once; further ones are refused with `ONLINE_STORE_UNAVAILABLE`. Default 10,000. */
  readonly maxWaitingReads?: number;
}

/** Keys per MGET of the write side. */
const KEYS_PER_READ = 500;
/** How many keys one step of SCAN looks at. */
const SCAN_COUNT = 1_000;

/**
 * An {@link OnlineStore} on Redis 6.2 or newer, or Valkey: one server or a cluster, with TLS and users if wanted. One
 * packed value per (view version, entity); a request is one round trip (on a cluster one per node, side by side); writes
 * are compare-and-set by revision in a script. Several processes may read and write.
 *
 * Lost writes (a failover to a replica that lagged, a restart from an older file, FLUSHALL) are noticed by the next
 * write or `checkSession` and repaired by the engine; see docs/adr/0005.
 *
 * Throws `ONLINE_STORE_UNAVAILABLE` (not reachable, wrong password, wrong kind of server, too old, evicts values, package
 * `iovalkey` not installed, closed), `ONLINE_STORE_TIMEOUT`, `ONLINE_STORE_FULL` (maxmemory), `ONLINE_STORE_ROLLED_BACK`,
 * `ONLINE_STORE_NOT_DURABLE` and `ONLINE_STORE_CORRUPT` (something else under its keys).
 */
export async function redisOnlineStore(options: RedisOnlineStoreOptions): Promise<OnlineStore> {
  const { durability = "none", timeoutMs = 10_000 } = options;
  const keys = redisKeys(options.keyPrefix ?? "millrace:", options.cluster !== undefined);
  // What is written in bulk must not stand before a request's read on its connection.
  const bulk = await connectRedis(options);
  const { place } = bulk;
  let waitAof: boolean;
  try {
    await bulk.whenUsable(options.connectTimeoutMs ?? 10_000);
    waitAof = (await checkRedisServer(bulk, durability)).waitAof;
  } catch (error) {
    bulk.close();
    throw error;
  }
  const requests = await connectRedis(options);
  const writer = createRedisWriter({ client: bulk, keys, timeoutMs });
  const queue = createRedisReadQueue({
    client: requests,
    keys,
    timeoutMs,
    maxWaiting: options.maxWaitingReads ?? 10_000,
  });
  // Connects at the first request at the latest; a failure shows there.
  requests.whenUsable(timeoutMs).catch(() => {});
  const slotOf = (shard: number): number => keys.slots[shard] ?? -1;
  let closed = false;

  function checkOpen(): void {
    if (closed) throw closedError(place);
  }

  async function read(wanted: readonly ValueKey[]): Promise<(StoredValue | null)[]> {
    checkOpen();
    const groups: { shard: number; names: RedisArgument[]; of: number[] }[] = [];
    const building = new Map<number, (typeof groups)[number]>();
    for (let index = 0; index < wanted.length; index++) {
      const { keyspace, key } = wanted[index]!;
      const shard = keys.shardOf(key);
      let group = building.get(shard);
      if (group === undefined || group.of.length === KEYS_PER_READ) {
        group = { shard, names: [], of: [] };
        groups.push(group);
        building.set(shard, group);
      }
      group.names.push([keys.valuePrefix(keyspace, shard), key]);
      group.of.push(index);
    }
    if (groups.length === 0) return [];
    const replies = await writer.run(groups.map(({ shard, names }) => redisCommand("mget", names, slotOf(shard))));
    const values = new Array<StoredValue | null>(wanted.length);
    for (let i = 0; i < groups.length; i++) {
      const { of } = groups[i]!;
      for (let j = 0; j < of.length; j++) {
        // Kept for long by the engine: replies share large chunks, which one kept value would hold in memory.
        values[of[j]!] = readValue((replies[i] as unknown[])[j], place, true);
      }
    }
    return values;
  }

  /** The names of the values of a key space on one server, or of all. */
  async function* names(node: RedisNode, keyspace: string | null): AsyncGenerator<Buffer[]> {
    let cursor = "0";
    do {
      checkOpen();
      const args = [cursor, "MATCH", keys.pattern(keyspace), "COUNT", String(SCAN_COUNT)];
      const reply = await node.call("scan", args).catch((error: unknown) => {
        throw redisError(error, place);
      });
      const [next, page] = reply as [Buffer, Buffer[]];
      cursor = String(next);
      if (page.length > 0) yield page;
    } while (cursor !== "0");
  }

  async function primaries(): Promise<readonly RedisNode[]> {
    checkOpen();
    if (!bulk.usable) await bulk.whenUsable(timeoutMs);
    return bulk.primaries();
  }

  async function* scan(keyspace: string): ReturnType<OnlineStore["scan"]> {
    for (const node of await primaries()) {
      for await (const page of names(node, keyspace)) {
        const found = page.map((name) => keys.entityKey(name, keyspace));
        const values = await read(found.map((key) => ({ keyspace, key })));
        const batch = found.flatMap((key, i) => {
          const value = values[i] ?? null;
          return value === null ? [] : [{ key, value }];
        });
        if (batch.length > 0) yield batch;
      }
    }
  }

  async function registered(): Promise<Set<string>> {
    const lists = await writer.run(
      Array.from({ length: keys.shards }, (_, shard) =>
        redisCommand("smembers", [keys.keyspaces(shard)], slotOf(shard)),
      ),
    );
    return new Set(lists.flatMap((list) => (list as Buffer[]).map(String)));
  }

  async function readMeta(wanted: readonly string[]): Promise<(string | null)[]> {
    checkOpen();
    if (wanted.length === 0) return [];
    const [reply] = await writer.run([redisCommand("hmget", [keys.facts, ...wanted], slotOf(0))]);
    return (reply as (Buffer | null)[]).map((text) => (text === null ? null : String(text)));
  }

  async function waitForReplicas(replicas: number): Promise<void> {
    for (const node of await primaries()) {
      const reply = await node.call("wait", [String(replicas), String(timeoutMs)]).catch((error: unknown) => {
        throw redisError(error, place);
      });
      if (Number(reply) < replicas)
        throw notDurable(place, `has ${String(reply)} replicas of its writes, not ${replicas}`);
    }
  }

  async function waitForDisk(): Promise<void> {
    for (const node of await primaries()) {
      const reply = await node.call("waitaof", ["1", "0", String(timeoutMs)]).catch((error: unknown) => {
        throw redisError(error, place);
      });
      if (Number((reply as unknown[])[0]) < 1) throw notDurable(place, "has not written to its disk in time");
    }
  }

  async function close(): Promise<void> {
    if (closed) return;
    closed = true;
    queue.close();
    requests.close();
    bulk.close();
  }

  return {
    capabilities: { persistent: true, multiProcess: true, syncReads: false, expires: true },
    shards: keys.shards,
    shardOf: (key) => keys.shardOf(key),
    read,
    fetch: (wanted, facts, fetchOptions) => queue.fetch(wanted, facts, fetchOptions),
    async compareAndSet(writes, session) {
      checkOpen();
      return writer.compareAndSet(writes, session);
    },
    async openSession() {
      checkOpen();
      return writer.openSession();
    },
    async checkSession(session) {
      checkOpen();
      return writer.checkSession(session);
    },
    async mark(marks, session) {
      checkOpen();
      return writer.mark(marks, session);
    },
    async marks(keyspace) {
      checkOpen();
      const replies = await writer.run(
        Array.from({ length: keys.shards }, (_, shard) =>
          redisCommand("hgetall", [keys.marks(keyspace, shard)], slotOf(shard)),
        ),
      );
      return replies.map((reply) => {
        const offsets = new Map<number, number>();
        const fields = reply as Buffer[];
        for (let i = 0; i < fields.length; i += 2) offsets.set(Number(fields[i]), Number(fields[i + 1]));
        return offsets;
      });
    },
    async durable() {
      checkOpen();
      if (durability === "none") return;
      if (durability !== "aof") return waitForReplicas(durability.replicas);
      // With `appendfsync always`, which was checked, every write is on disk before its reply.
      if (waitAof) await waitForDisk();
    },
    readMeta,
    async writeMeta(facts) {
      checkOpen();
      if (facts.size === 0) return;
      const args = [...facts].flatMap(([name, value]) => [value === null ? "0" : "1", name, value ?? ""]);
      await writer.run([redisCommand("eval", [SET_FACTS.lua, "1", keys.facts, ...args], slotOf(0))]);
    },
    scan,
    async keyspaces() {
      checkOpen();
      const unseen = await registered();
      const seen: string[] = [];
      for (const node of await primaries()) {
        if (unseen.size === 0) break;
        for await (const page of names(node, null)) {
          for (const name of page) {
            const keyspace = keys.keyspaceOf(name);
            if (keyspace !== null && unseen.delete(keyspace)) seen.push(keyspace);
          }
          if (unseen.size === 0) break;
        }
      }
      return seen;
    },
    async dropKeyspace(keyspace) {
      checkOpen();
      const all = Array.from({ length: keys.shards }, (_, shard) => shard);
      // Without marks, what is left of a drop that was cut short is not taken for a filled key space.
      await writer.run(all.map((shard) => redisCommand("unlink", [keys.marks(keyspace, shard)], slotOf(shard))));
      for (const node of await primaries()) {
        for await (const page of names(node, keyspace)) {
          const byShard = new Map<number, Buffer[]>();
          for (const name of page) {
            const shard = keys.shardOf(keys.entityKey(name, keyspace));
            byShard.set(shard, [...(byShard.get(shard) ?? []), name]);
          }
          await writer.run([...byShard].map(([shard, list]) => redisCommand("unlink", list, slotOf(shard))));
        }
      }
      await writer.run(all.map((shard) => redisCommand("srem", [keys.keyspaces(shard), keyspace], slotOf(shard))));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
