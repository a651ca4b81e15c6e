import { expect, it } from "vitest";
import { postgres, redis, resolveOffline, resolveOnline } from "../../src/config/store-config.ts";

it("takes embedded stores by default, and shared ones by a factory or by variables alone", () => {
  expect([resolveOnline(undefined, {}), resolveOffline(undefined, {})]).toEqual([
    { store: "lmdb" },
    { store: "duckdb" },
  ]);
  expect(resolveOnline(redis({ url: "redis://a:1", keyPrefix: "x:" }), { MILLRACE_REDIS_PASSWORD: "p" })).toEqual({
    store: "redis",
    url: "redis://a:1",
    keyPrefix: "x:",
    password: "p",
    durability: "none",
  });
  expect(resolveOnline(undefined, { MILLRACE_REDIS_CLUSTER: "a:1, b:2", MILLRACE_REDIS_DURABILITY: "1" })).toEqual({
    store: "redis",
    cluster: ["a:1", "b:2"],
    durability: { replicas: 1 },
  });
  expect(
    resolveOffline(postgres({ url: "postgres://u@h/d", schema: "s" }), {
      MILLRACE_POSTGRES_URL: "postgresql://u@other/d",
      MILLRACE_POSTGRES_MAX_CONNECTIONS: "4",
    }),
  ).toEqual({ store: "postgres", url: "postgresql://u@other/d", schema: "s", maxConnections: 4 });
});

it.each([
  ["MILLRACE_REDIS_URL", { MILLRACE_REDIS_URL: "http://:secret@a" }],
  ["MILLRACE_REDIS_CLUSTER", { MILLRACE_REDIS_URL: "redis://:secret@a", MILLRACE_REDIS_CLUSTER: "a:1" }],
  ["MILLRACE_REDIS_CLUSTER", { MILLRACE_REDIS_CLUSTER: "secret" }],
  ["MILLRACE_REDIS_DURABILITY", { MILLRACE_REDIS_URL: "redis://:secret@a", MILLRACE_REDIS_DURABILITY: "some" }],
  ["MILLRACE_REDIS_PASSWORD", { MILLRACE_REDIS_PASSWORD: "secret" }],
  ["MILLRACE_POSTGRES_URL", { MILLRACE_POSTGRES_URL: "mysql://u:secret@h/d" }],
  [
    "MILLRACE_POSTGRES_MAX_CONNECTIONS",
    { MILLRACE_POSTGRES_URL: "postgres://u:secret@h", MILLRACE_POSTGRES_MAX_CONNECTIONS: "1" },
  ],
  ["MILLRACE_POSTGRES_SCHEMA", { MILLRACE_POSTGRES_SCHEMA: "secret" }],
])("names %s where it is wrong, and shows no secret", (variable, env) => {
  const resolve = (): unknown => [resolveOnline(undefined, env), resolveOffline(undefined, env)];
  expect(resolve).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining(variable) }),
  );
  expect(resolve).toThrow(expect.objectContaining({ message: expect.not.stringContaining("secret") }));
});
