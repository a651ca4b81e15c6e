import { storeError } from "../store-error.ts";

/**
 * The names of the keys in Redis. All of an installation's begin with its prefix, so that several share a Redis:
 *
 * - `<prefix>v:<keyspace>:<entity key>`: a value
 * - `<prefix>marks:<keyspace>`: a hash, the offset applied by partition
 * - `<prefix>keyspaces`: a set, the key spaces that were written
 * - `<prefix>writers`: a hash, see `redis-scripts.ts`
 * - `<prefix>facts`: a hash
 *
 * On a cluster each name has its shard's hash tag after the prefix, so that what belongs to one shard lies in one slot;
 * facts are those of shard 0.
 */
export interface RedisKeys {
  readonly shards: number;
  /** The slot of each shard; empty if there are no slots. */
  readonly slots: readonly number[];
  shardOf(key: Uint8Array): number;
  /** What is before the entity key. */
  valuePrefix(keyspace: string, shard: number): Buffer;
  /** Takes the entity key out of a value's name. */
  entityKey(name: Buffer, keyspace: string): Uint8Array;
  /** A pattern of SCAN for the values of a key space, or of all. */
  pattern(keyspace: string | null): string;
  /** The key space of a value's name; null if it is none. */
  keyspaceOf(name: Buffer): string | null;
  marks(keyspace: string, shard: number): string;
  keyspaces(shard: number): string;
  writers(shard: number): string;
  readonly facts: string;
}

/** On a cluster; many more than it has nodes, few enough that a batch of writes is few calls. A power of two. */
const CLUSTER_SHARDS = 128;

export function redisKeys(prefix: string, cluster: boolean): RedisKeys {
  if (/[{}]/.test(prefix) || prefix.length > 100) {
    throw storeError(
      "ONLINE_STORE_UNAVAILABLE",
      `The key prefix '${prefix}' of the Redis online store may have no braces and at most 100 characters.`,
    );
  }
  const tags = cluster ? shardTags() : [""];
  const prefixes = new Map<string, Buffer[]>();
  const valuePrefixes = (keyspace: string): Buffer[] => {
    let known = prefixes.get(keyspace);
    if (known === undefined) {
      known = tags.map((tag) => Buffer.from(`${prefix}${tag}v:${escapeName(keyspace)}:`, "utf8"));
      prefixes.set(keyspace, known);
    }
    return known;
  };
  const tagLength = (name: Buffer): number => (cluster ? name.indexOf("}", Buffer.byteLength(prefix)) + 1 : 0);
  return {
    shards: tags.length,
    slots: cluster ? tags.map((tag) => slotOf(Buffer.from(tag.slice(1, -1)))) : [],
    shardOf: cluster ? (key) => crc16(key) & (CLUSTER_SHARDS - 1) : () => 0,
    valuePrefix: (keyspace, shard) => valuePrefixes(keyspace)[shard]!,
    entityKey(name, keyspace) {
      const from = cluster ? tagLength(name) + `v:${escapeName(keyspace)}:`.length : valuePrefixes(keyspace)[0]!.length;
      return Uint8Array.from(name.subarray(from));
    },
    pattern(keyspace) {
      const tag = cluster ? "{*}" : "";
      return `${glob(prefix)}${tag}v:${keyspace === null ? "" : `${glob(escapeName(keyspace))}:`}*`;
    },
    keyspaceOf(name) {
      const from = cluster ? tagLength(name) : Buffer.byteLength(prefix);
      const end = name.indexOf(":", from + 2);
      return end < 0 ? null : unescapeName(name.toString("utf8", from + 2, end));
    },
    marks: (keyspace, shard) => `${prefix}${tags[shard]}marks:${escapeName(keyspace)}`,
    keyspaces: (shard) => `${prefix}${tags[shard]}keyspaces`,
    writers: (shard) => `${prefix}${tags[shard]}writers`,
    facts: `${prefix}${tags[0]}facts`,
  };
}

/** ASCII without the characters that have a meaning in our names. */
function escapeName(keyspace: string): string {
  return /^[\w@.-]*$/.test(keyspace) ? keyspace : encodeURIComponent(keyspace);
}

function unescapeName(name: string): string {
  return decodeURIComponent(name);
}

function glob(text: string): string {
  return text.replace(/[*?[\]\\^]/g, "\\$&");
}

let tagsOfShards: string[] | undefined;

/** A tag per shard such that the shards divide the slots evenly: a node with a range of slots has its share. */
function shardTags(): string[] {
  if (tagsOfShards !== undefined) return tagsOfShards;
  const found = new Array<string>(CLUSTER_SHARDS);
  for (let n = 0, left = CLUSTER_SHARDS; left > 0; n++) {
    const shard = Math.floor(slotOf(Buffer.from(String(n))) / (16_384 / CLUSTER_SHARDS));
    if (found[shard] !== undefined) continue;
    found[shard] = `{${n}}`;
    left--;
  }
  tagsOfShards = found;
  return found;
}

function slotOf(tag: Uint8Array): number {
  return crc16(tag) & 16_383;
}

const CRC_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
  return crc;
});

/** CRC-16/XMODEM, of which a cluster's slots are made. Source: the cluster specification of Redis. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (let i = 0; i < bytes.length; i++) crc = ((crc << 8) ^ CRC_TABLE[((crc >> 8) ^ bytes[i]!) & 255]!) & 0xffff;
  return crc;
}
