import pino from "pino";
import { expect, it } from "vitest";
import { resolveReads } from "../../src/config/read-config.ts";
import { entity, featureService, featureView, latest, memory, streamSource, t } from "../../src/definitions/index.ts";
import { collectDeclarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import type { FetchOptions, OnlineStore } from "../../src/feature_store/online/online-store.ts";
import type { OnlineReadOptions } from "../../src/feature_store/online-reader.ts";
import { createGeneration, type Generation } from "../../src/processes/generation.ts";

const payments = streamSource("payments", {
  stream: memory(),
  eventTime: "at",
  lateness: "1m",
  schema: { card: t.string(), amount: t.float64(), at: t.timestamp() },
});
const byCard = featureView("by_card", {
  source: payments,
  entity: entity("card", { card: t.string() }),
  features: { last: latest(payments.amount) },
});
const declarations = collectDeclarations({
  payments,
  byCard,
  risk: featureService("risk", { features: { last: byCard.last } }),
});
const log = pino({ level: "silent" });

function generation(online: OnlineStore, reads: OnlineReadOptions): Generation {
  const models = { pollSeconds: 5, diskBytes: 2 ** 30, cacheBytes: 1_000, default: null };
  return createGeneration({ declarations, online, reads, models, connections: {}, modelFolder: "unused", log });
}

it("reads no deadline, an error as fallback and no cache by default; variables win over the configuration", () => {
  expect(resolveReads(undefined, {})).toEqual({ fallback: "error", cache: {} });
  expect(
    resolveReads(
      { deadlineMs: 50, fallback: "error", cache: { by_card: { maxStalenessMs: 100, maxEntries: 5 } } },
      { MILLRACE_READ_DEADLINE_MS: "20", MILLRACE_READ_FALLBACK: "partial" },
    ),
  ).toEqual({ deadlineMs: 20, fallback: "partial", cache: { by_card: { maxStalenessMs: 100, maxEntries: 5 } } });
});

it.each<[string, unknown, Record<string, string>]>([
  ["reads.deadlineMs", { deadlineMs: "50" }, {}],
  ["reads.deadlineMs", { deadlineMs: 0 }, {}],
  ["MILLRACE_READ_DEADLINE_MS", {}, { MILLRACE_READ_DEADLINE_MS: "" }],
  ["reads.fallback", { fallback: "none" }, {}],
  ["MILLRACE_READ_FALLBACK", {}, { MILLRACE_READ_FALLBACK: "maybe" }],
  ["reads.cache", { cache: [] }, {}],
  ["reads.cache.by_card.maxStalenessMs", { cache: { by_card: {} } }, {}],
  ["reads.cache.by_card.maxEntries", { cache: { by_card: { maxStalenessMs: 1, maxEntries: 0.5 } } }, {}],
  ["reads.cache.by_card.maxAge", { cache: { by_card: { maxStalenessMs: 1, maxAge: 1 } } }, {}],
])("names %s where it is wrong", (name, given, env) => {
  expect(() => resolveReads(given as OnlineReadOptions, env)).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining(`${name} must be`) }),
  );
});

it("serves with the configured deadline, fallback and cache", async () => {
  const { readSync: _, readMetaSync: __, ...online } = memoryOnlineStore();
  const asked: { keys: number; options: FetchOptions | undefined }[] = [];
  const store: OnlineStore = {
    ...online,
    capabilities: { ...online.capabilities, syncReads: false },
    fetch: async (keys, facts, options) => {
      asked.push({ keys: keys.length, options });
      return online.fetch(keys, facts, options);
    },
  };
  const cached = resolveReads(
    { deadlineMs: 30, fallback: "partial", cache: { by_card: { maxStalenessMs: 60_000 } } },
    {},
  );
  const { features } = generation(store, cached);
  await features.getOnlineFeatures("risk", { rows: [{ card: "a" }] });
  expect(asked).toEqual([{ keys: 1, options: expect.objectContaining({ deadlineMs: 30, partial: true }) }]);
  await features.getOnlineFeatures("risk", { rows: [{ card: "a" }] });
  expect(asked.slice(1).filter(({ keys }) => keys > 0)).toEqual([]);
  const { features: plain } = generation(store, resolveReads(undefined, {}));
  await plain.getOnlineFeatures("risk", { rows: [{ card: "a" }] });
  expect(asked.at(-1)).toEqual({ keys: 1, options: expect.not.objectContaining({ deadlineMs: expect.anything() }) });
});

it("refuses a cache of a view that is not declared", () => {
  expect(() => generation(memoryOnlineStore(), { cache: { by_crad: { maxStalenessMs: 5 } } })).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining("by_crad") }),
  );
});
