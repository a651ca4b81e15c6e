import { storeError } from "../store-error.ts";
import type { RedisClient } from "./redis-client.ts";
import { redisError } from "./redis-error.ts";

/** When the store says `durable`: see `RedisOnlineStoreOptions.durability`. */
export type RedisDurability = "none" | "aof" | { readonly replicas: number };

/** The newest that are needed: SET with PXAT came with Redis 6.2. Valkey says 7.2. */
const OLDEST = [6, 2] as const;

/**
 * Refuses a server that would lose values silently or that lacks what the store needs. Returns whether it knows WAITAOF.
 * @throws `ONLINE_STORE_UNAVAILABLE` naming the setting
 */
export async function checkRedisServer(
  client: RedisClient,
  durability: RedisDurability,
): Promise<{ waitAof: boolean }> {
  let waitAof = true;
  for (const node of client.primaries()) {
    const ask = (name: string, args: readonly string[]): Promise<unknown> =>
      node.call(name, args).catch((error: unknown) => {
        throw redisError(error, client.place);
      });
    const info = String(await ask("info", []));
    const field = (name: string): string => new RegExp(`^${name}:(.*?)\r?$`, "m").exec(info)?.[1] ?? "";
    const refuse = (what: string): never => {
      throw storeError("ONLINE_STORE_UNAVAILABLE", `The Redis at ${client.place} cannot be used: ${what}.`, {
        kind: "operational",
        details: { place: client.place },
      });
    };
    const [major = 0, minor = 0] = field("redis_version").split(".").map(Number);
    if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
      refuse(`it is version ${field("redis_version")}, and 6.2 or newer (or Valkey) is needed`);
    if (!client.isCluster && field("cluster_enabled") === "1")
      refuse("it is a node of a cluster; give `cluster` nodes instead of a url");
    if (field("role") !== "master") refuse("it is a replica; name the primary");
    if (field("maxmemory") !== "0" && field("maxmemory_policy") !== "noeviction")
      refuse(
        `its maxmemory-policy is ${field("maxmemory_policy")}, which would drop values silently; set it to noeviction`,
      );
    waitAof &&= major > 7 || (major === 7 && minor >= 2);
    if (durability === "aof") {
      if (field("aof_enabled") !== "1") refuse("durability 'aof' needs `appendonly yes`");
      if (!waitAof) {
        const policy = ((await ask("config", ["get", "appendfsync"])) as Buffer[]).map(String)[1];
        if (policy !== "always")
          refuse(`durability 'aof' needs \`appendfsync always\` before Redis 7.2 (it is ${policy ?? "unknown"})`);
      }
    }
  }
  return { waitAof };
}
