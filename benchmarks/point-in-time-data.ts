/** The declarations and the deterministic data of the point-in-time benchmark: tables and streams of 5 million rows. */
import {
  count,
  entity,
  featureService,
  featureView,
  latest,
  max,
  mean,
  memory,
  streamSource,
  sum,
  t,
  tableSource,
} from "../src/definitions/index.ts";
import { Meta } from "../src/definitions/meta.ts";
import type { SourceMeta } from "../src/definitions/source.ts";
import type { Value } from "../src/definitions/value.ts";
import type { LoggedEvent } from "../src/feature_engineering/engine/event-log.ts";
import type { OfflineStore } from "../src/feature_store/offline/offline-store.ts";

export const START: number = Date.UTC(2026, 0, 1);
export const DAYS = 30;
const DAY_MS = 86_400_000;

const user = entity("user", { user_id: t.int64() });
const merchant = entity("merchant", { merchant_id: t.int64() });
const card = entity("card", { card_id: t.int64() });
const times = { event_timestamp: t.timestamp(), created: t.timestamp(), version: t.int32() };
const roles = { eventTime: "event_timestamp", ingestedAt: "created", version: "version" } as const;
const number = (): ReturnType<typeof t.float64> => t.float64();

const users = tableSource("users", {
  table: memory(),
  schema: {
    user_id: t.int64(),
    ...times,
    u1: number(),
    u2: number(),
    u3: number(),
    u4: number(),
    u5: t.int64(),
    u6: t.int64(),
    u7: t.string(),
    u8: number(),
  },
  ...roles,
});
const merchants = tableSource("merchants", {
  table: memory(),
  schema: {
    merchant_id: t.int64(),
    ...times,
    m1: number(),
    m2: number(),
    m3: number(),
    m4: number(),
    m5: t.int64(),
    m6: t.string(),
  },
  ...roles,
});
const cards = tableSource("cards", {
  table: memory(),
  schema: {
    card_id: t.int64(),
    ...times,
    c1: number(),
    c2: number(),
    c3: number(),
    c4: number(),
    c5: t.int64(),
    c6: number(),
  },
  ...roles,
});
const userView = featureView("user_facts", {
  source: users,
  entity: user,
  ttl: "7d",
  features: {
    u1: latest(users.u1),
    u2: latest(users.u2),
    u3: latest(users.u3),
    u4: latest(users.u4),
    u5: latest(users.u5),
    u6: latest(users.u6),
    u7: latest(users.u7),
    u8: latest(users.u8),
  },
});
const merchantView = featureView("merchant_facts", {
  source: merchants,
  entity: merchant,
  ttl: "7d",
  features: {
    m1: latest(merchants.m1),
    m2: latest(merchants.m2),
    m3: latest(merchants.m3),
    m4: latest(merchants.m4),
    m5: latest(merchants.m5),
    m6: latest(merchants.m6),
  },
});
const cardView = featureView("card_facts", {
  source: cards,
  entity: card,
  ttl: "7d",
  features: {
    c1: latest(cards.c1),
    c2: latest(cards.c2),
    c3: latest(cards.c3),
    c4: latest(cards.c4),
    c5: latest(cards.c5),
    c6: latest(cards.c6),
  },
});
const latestService = featureService("facts", {
  features: {
    u1: userView.u1,
    u2: userView.u2,
    u3: userView.u3,
    u4: userView.u4,
    u5: userView.u5,
    u6: userView.u6,
    u7: userView.u7,
    u8: userView.u8,
    m1: merchantView.m1,
    m2: merchantView.m2,
    m3: merchantView.m3,
    m4: merchantView.m4,
    m5: merchantView.m5,
    m6: merchantView.m6,
    c1: cardView.c1,
    c2: cardView.c2,
    c3: cardView.c3,
    c4: cardView.c4,
    c5: cardView.c5,
    c6: cardView.c6,
  },
});

const event = { event_timestamp: t.timestamp(), amount: number() };
const stream = { stream: memory(), eventTime: "event_timestamp", lateness: "1m" } as const;
const payments = streamSource("payments", { ...stream, schema: { user_id: t.int64(), ...event } });
const sales = streamSource("sales", { ...stream, schema: { merchant_id: t.int64(), ...event } });
const swipes = streamSource("swipes", { ...stream, schema: { card_id: t.int64(), ...event } });
export const WINDOWS = ["1h", "24h", "7d"] as const;
const paid = featureView("paid", {
  source: payments,
  entity: user,
  features: {
    n: count().over(WINDOWS),
    total: sum(payments.amount).over(WINDOWS),
    average: mean(payments.amount).over(WINDOWS),
    most: max(payments.amount).over(WINDOWS),
  },
});
const sold = featureView("sold", {
  source: sales,
  entity: merchant,
  features: {
    n: count().over(WINDOWS),
    total: sum(sales.amount).over(WINDOWS),
    average: mean(sales.amount).over(WINDOWS),
    most: max(sales.amount).over(WINDOWS),
  },
});
const swiped = featureView("swiped", {
  source: swipes,
  entity: card,
  features: {
    n: count().over(WINDOWS),
    total: sum(swipes.amount).over(WINDOWS),
    average: mean(swipes.amount).over(WINDOWS),
    most: max(swipes.amount).over(WINDOWS),
  },
});
const windowViews = { paid, sold, swiped };
const windowService = featureService("windows", {
  features: Object.fromEntries(
    Object.entries(windowViews).flatMap(([view, features]) =>
      ["n", "total", "average", "most"].flatMap((name) =>
        WINDOWS.map((window) => [
          `${view}_${name}_${window}`,
          (features as unknown as Record<string, typeof paid.n_1h>)[`${name}_${window}`]!,
        ]),
      ),
    ),
  ),
});

export const tableViews = [userView, merchantView, cardView].map((view) => view[Meta]);
export const streamViews = [paid, sold, swiped].map((view) => view[Meta]);
export const services = [latestService[Meta], windowService[Meta]];

/** Entities of each view, and its share of the rows. */
const SIZES: Readonly<Record<string, readonly [entities: number, share: number]>> = {
  users: [100_000, 0.4],
  merchants: [10_000, 0.3],
  cards: [50_000, 0.3],
  payments: [100_000, 0.4],
  sales: [10_000, 0.3],
  swipes: [50_000, 0.3],
};

/** A number from 0 to 2^32 that depends on n alone. */
export function hash(n: number, salt: number): number {
  let h = Math.imul(n ^ (salt * 0x9e3779b1), 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  h = Math.imul(h + salt, 0x27d4eb2f);
  return (h ^ (h >>> 15)) >>> 0;
}

/** Loads a source through the store. Every fiftieth row of a table corrects another: the same time, a larger version. */
export async function load(store: OfflineStore, source: SourceMeta, allRows: number): Promise<void> {
  const { name, columns } = source;
  const [entities, share] = SIZES[name]!;
  const rows = Math.round(allRows * share);
  await store.prepareSource({ source: name, columns, hasId: false });
  const partition = await store.own(name, "bench");
  const BATCH = 25_000;
  for (let start = 0; start < rows; start += BATCH) {
    const events: LoggedEvent[] = [];
    for (let n = start; n < Math.min(rows, start + BATCH); n++) {
      const corrects = source.version !== null && n % 50 === 49;
      const of = corrects ? n - 7 : n;
      // Even milliseconds: labels lie between them.
      const eventTime = START + Math.floor(((of / rows) * DAYS * DAY_MS) / 2) * 2 + (hash(of, 2) % 30_000) * 2;
      const version = corrects ? 2 : 1;
      const ingestedAt = eventTime + (corrects ? 60_000 : 1_000);
      const row = columns.map(({ name: column, type }, index): Value => {
        if (index === 0) return BigInt(hash(of, 1) % entities);
        if (column === "event_timestamp") return eventTime;
        if (column === "created") return ingestedAt;
        if (column === "version") return version;
        const value = hash(n, 10 + index);
        if (type.kind === "string") return `text-${value % 1_000}`;
        return type.kind === "int64" ? BigInt(value) : value / 128;
      });
      const [hash0, hash1, hash2, hash3] = [hash(n, 3), hash(n, 4), hash(n, 5), hash(n, 6)] as const;
      events.push({
        partitionId: partition.partitionId,
        offset: n,
        eventTime,
        version: source.version === null ? null : version,
        ingestedAt,
        hash0,
        hash1,
        hash2,
        hash3,
        id: null,
        row,
      });
    }
    await store.commit({ partition, events, deadLetters: [], lastOffset: Math.min(rows, start + BATCH) - 1 });
  }
}

/** Labels of random entities at random odd milliseconds of the last 22 days. */
export function* labels(
  count: number,
): Generator<readonly [user: number, merchant: number, card: number, time: number]> {
  for (let n = 0; n < count; n++) {
    const time = START + 8 * DAY_MS + Math.floor(((hash(n, 20) / 2 ** 32) * (DAYS - 8) * DAY_MS) / 2) * 2 + 1;
    yield [hash(n, 21) % 105_000, hash(n, 22) % 10_500, hash(n, 23) % 52_500, time];
  }
}
