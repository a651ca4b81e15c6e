import { createHash } from "node:crypto";

/** A script that runs inside Redis, in one step. */
export interface RedisScript {
  readonly lua: string;
  /** What EVALSHA calls it by. */
  readonly sha: string;
}

/** What a script answers, as an error, if the shard's log lost a write of this session. */
export const ROLLED_BACK = "MILLRACE_ROLLED_BACK";
/** Bytes of the header of a stored value. */
export const HEADER_BYTES = 8;

/*
 * Each shard has a hash of its writers: `epoch`, and per writer the number of its last write. A write says which epoch
 * and which last write it expects; if the shard lost the newest part of its log, the numbers are older, and nothing is
 * written. Who finds its own writes lost raises the epoch, which makes every other writer look too.
 * Arguments of all: KEYS[1] the hash, ARGV[1..4] writer, epoch, last write, this write; an empty writer checks nothing.
 */
const check = `
if ARGV[1] ~= '' then
  local known = redis.call('HMGET', KEYS[1], 'epoch', ARGV[1])
  if known[1] ~= ARGV[2] or known[2] ~= ARGV[3] then return redis.error_reply('${ROLLED_BACK}') end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
end
`;

/**
 * KEYS[2] the set of key spaces, then the values. ARGV[5] a key space, ARGV[6] whether moments of expiry are given;
 * then per value the expected header (empty: no value), the new value with its header (empty: delete) and, if given,
 * the moment of expiry (empty: none). Returns the indexes of those that had another header.
 */
export const WRITE_VALUES: RedisScript = script(`
${check}
local refused = {}
local created = false
local stride = ARGV[6] == '1' and 3 or 2
for i = 3, #KEYS do
  local at = 7 + (i - 3) * stride
  local expected = ARGV[at]
  local value = ARGV[at + 1]
  if redis.call('GETRANGE', KEYS[i], 0, ${HEADER_BYTES - 1}) ~= expected then
    refused[#refused + 1] = i - 3
  elseif value == '' then
    if expected ~= '' then redis.call('DEL', KEYS[i]) end
  else
    if expected == '' then created = true end
    if stride == 3 and ARGV[at + 2] ~= '' then
      redis.call('SET', KEYS[i], value, 'PXAT', ARGV[at + 2])
    else
      redis.call('SET', KEYS[i], value)
    end
  end
end
if created then redis.call('SADD', KEYS[2], ARGV[5]) end
return refused
`);

/** KEYS[2..] a hash of marks each. ARGV[5..] per hash the number of marks, then partition and offset of each. */
export const RAISE_MARKS: RedisScript = script(`
${check}
local at = 5
for k = 2, #KEYS do
  local count = tonumber(ARGV[at])
  for _ = 1, count do
    local known = redis.call('HGET', KEYS[k], ARGV[at + 1])
    if not known or tonumber(known) < tonumber(ARGV[at + 2]) then
      redis.call('HSET', KEYS[k], ARGV[at + 1], ARGV[at + 2])
    end
    at = at + 2
  end
  at = at + 1
end
return 1
`);

/**
 * ARGV[1] the writer, ARGV[2] the epoch that it knew (0: none), ARGV[3] its first number. Returns the epoch: a larger
 * one than it knew is another writer's, whose look at the shard made us look; else our own writes are lost, or we are
 * new, and all others shall look.
 */
export const OPEN_WRITER: RedisScript = script(`
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
local known = tonumber(ARGV[2])
if known == 0 or epoch <= known then
  epoch = math.max(epoch, known) + 1
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return epoch
`);

/** KEYS[1] the hash of facts. ARGV per fact '1' (set) or '0' (delete), its name, its text. */
export const SET_FACTS: RedisScript = script(`
for at = 1, #ARGV, 3 do
  if ARGV[at] == '1' then redis.call('HSET', KEYS[1], ARGV[at + 1], ARGV[at + 2])
  else redis.call('HDEL', KEYS[1], ARGV[at + 1]) end
end
return 1
`);

function script(lua: string): RedisScript {
  return { lua, sha: createHash("sha1").update(lua).digest("hex") };
}
