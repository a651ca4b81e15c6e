import { afterAll, beforeAll, expect, it } from "vitest";
import { describeOnlineStore } from "../conformance/online-store-conformance.ts";
import type { OnlineStoreCapabilities } from "../src/feature_store/online/online-store.ts";
import { type RedisOnlineStoreOptions, redisOnlineStore } from "../src/feature_store/online/redis-online-store.ts";
import { type RedisRelease, redisRelease, redisReleases } from "./services/redis-release.ts";
import { type RedisCluster, type RedisServer, startRedis, startRedisCluster } from "./services/redis-server.ts";

const capabilities: OnlineStoreCapabilities = { persistent: true, multiProcess: true, syncReads: false, expires: true };
let single: RedisServer;
let secure: RedisServer;
let cluster: RedisCluster;
const others = new Map<RedisRelease, RedisServer>();
let installations = 0;

beforeAll(async () => {
  single = await startRedis();
  secure = await startRedis({ password: "a secret: with @ and /", tls: true });
  secure.cli(
    "acl",
    "setuser",
    "features",
    "on",
    ">pass word",
    "~shop:*",
    "+@all",
    "-@dangerous",
    "+info",
    "+config|get",
  );
  cluster = await startRedisCluster();
  for (const release of redisReleases) {
    others.set(release, await startRedis({ program: redisRelease(release), config: ["appendonly yes"] }));
  }
}, 240_000);

afterAll(async () => {
  await single?.remove();
  await secure?.remove();
  await cluster?.remove();
  for (const server of others.values()) await server.remove();
});

/** Each place is a prefix of its own, and is checked to stay within it. */
function describeRedis(name: string, prefix: string, options: () => RedisOnlineStoreOptions): void {
  describeOnlineStore(`redisOnlineStore, ${name}`, {
    capabilities,
    async make() {
      const keyPrefix = `${prefix}${installations++}:`;
      return { open: () => redisOnlineStore({ ...options(), keyPrefix }), remove: async () => {} };
    },
  });
}

describeRedis("one server", "[a*]?:", () => ({ url: `redis://127.0.0.1:${single.port}` }));
describeRedis("a password and TLS", "", () => ({
  url: `rediss://127.0.0.1:${secure.port}`,
  password: "a secret: with @ and /",
  tls: { ca: secure.ca! },
}));
describeRedis("a user of an ACL and TLS", "shop:", () => ({
  url: `rediss://features:pass%20word@127.0.0.1:${secure.port}/0`,
  tls: { ca: secure.ca! },
}));
describeRedis("a cluster of three", "", () => ({
  cluster: cluster.nodes.slice(0, 2).map((node) => `${node.host}:${node.port}`),
}));
for (const release of redisReleases) {
  describeRedis(release, "", () => ({ url: `redis://127.0.0.1:${others.get(release)!.port}` }));
  // WAITAOF is of Redis 7.2 and of Valkey.
  if (release.startsWith("Valkey")) {
    describeRedis(`${release}, waiting for its disk`, "", () => ({
      url: `redis://127.0.0.1:${others.get(release)!.port}`,
      durability: "aof",
    }));
  }
}

it("runs on the releases that it names", () => {
  const version = (release: RedisRelease): string => others.get(release)!.cli("info", "server");
  expect(version("Redis 6.2")).toContain("redis_version:6.2.");
  expect(version("Valkey 8.1")).toContain("valkey_version:8.1.");
  expect(version("Valkey 9.1")).toContain("valkey_version:9.1.");
});
