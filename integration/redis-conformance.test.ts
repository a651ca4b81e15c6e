import { afterAll, beforeAll } from "vitest";
import { describeOnlineStore } from "../conformance/online-store-conformance.ts";
import type { OnlineStoreCapabilities } from "../src/feature_store/online/online-store.ts";
import { type RedisOnlineStoreOptions, redisOnlineStore } from "../src/feature_store/online/redis-online-store.ts";
import { type RedisCluster, type RedisServer, startRedis, startRedisCluster } from "./services/redis-server.ts";

const capabilities: OnlineStoreCapabilities = { persistent: true, multiProcess: true, syncReads: false, expires: true };
let single: RedisServer;
let secure: RedisServer;
let cluster: RedisCluster;
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
});

afterAll(async () => {
  await single?.remove();
  await secure?.remove();
  await cluster?.remove();
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
