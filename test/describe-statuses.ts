import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createModelHost } from "../src/api/models/create-model-host.ts";
import { type ApiServer, createApiServer } from "../src/api/server.ts";
import { millraceError } from "../src/definitions/errors.ts";
import {
  count,
  entity,
  featureService,
  featureView,
  httpPush,
  latest,
  streamSource,
  sum,
  t,
} from "../src/definitions/index.ts";
import { collectDeclarations } from "../src/feature_engineering/plan/collect-declarations.ts";
import { createFeatureStore, type FeatureStore } from "../src/feature_store/feature-store.ts";
import type { OfflineStore } from "../src/feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../src/feature_store/online/online-store.ts";
import { createPipeline, type Pipeline } from "../src/pipeline/pipeline.ts";

export interface StatusStores extends AsyncDisposable {
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
}

/** Real: a store may let values expire by the clock of its own machine. */
const NOW = Date.now();
const HOUR = 3_600_000;

const ratings = streamSource("ratings", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1m",
  id: "id",
  version: "version",
  schema: {
    id: t.string(),
    driver: t.string(),
    stars: t.float64().nullable(),
    version: t.int64().nullable(),
    at: t.timestamp(),
  },
});
const driver = entity("driver", { driver: t.string() });
const facts = featureView("facts", {
  source: ratings,
  entity: driver,
  ttl: "1d",
  features: { stars: latest(ratings.stars), stars_or_3: latest(ratings.stars).default(3) },
});
const forever = featureView("forever", {
  source: ratings,
  entity: driver,
  features: { last: latest(ratings.stars) },
});
const activity = featureView("activity", {
  source: ratings,
  entity: driver,
  features: { n: count().over("1h"), total: sum(ratings.stars).over("1h") },
});
const service = featureService("statuses_v1", {
  features: {
    stars: facts.stars,
    stars_or_3: facts.stars_or_3,
    last: forever.last,
    n: activity.n,
    total: activity.total,
  },
});

type Event = readonly [id: string, ago: number, stars: number | null, version?: number];
type Answer = readonly [value: number | null, status: string];
interface Case {
  readonly name: string;
  /** Pushed one after the other; how long before now, milliseconds. */
  readonly events: readonly Event[];
  /** stars, stars_or_3, last, n, total. */
  readonly answers: readonly [Answer, Answer, Answer, Answer, Answer];
}

const ZEROS: readonly [Answer, Answer] = [
  [0, "NOT_FOUND"],
  [0, "NOT_FOUND"],
];

/** What Feast gets wrong, corrections, late data, and each status. */
const cases: readonly Case[] = [
  {
    name: "a value in force is PRESENT",
    events: [["a1", HOUR / 2, 4]],
    answers: [
      [4, "PRESENT"],
      [4, "PRESENT"],
      [4, "PRESENT"],
      [1, "PRESENT"],
      [4, "PRESENT"],
    ],
  },
  {
    name: "a null that is known is NULL_VALUE, and a default replaces it",
    events: [["b1", HOUR / 2, null]],
    answers: [
      [null, "NULL_VALUE"],
      [3, "NULL_VALUE"],
      [null, "NULL_VALUE"],
      [1, "PRESENT"],
      [0, "PRESENT"],
    ],
  },
  {
    name: "a null replaces a value",
    events: [
      ["c1", HOUR, 5],
      ["c2", HOUR / 2, null],
    ],
    answers: [
      [null, "NULL_VALUE"],
      [3, "NULL_VALUE"],
      [null, "NULL_VALUE"],
      [2, "PRESENT"],
      [5, "PRESENT"],
    ],
  },
  {
    name: "an expired value is not served: OUTSIDE_MAX_AGE, up to twice the ttl",
    events: [["d1", 30 * HOUR, 4]],
    answers: [[null, "OUTSIDE_MAX_AGE"], [3, "OUTSIDE_MAX_AGE"], [4, "PRESENT"], ...ZEROS],
  },
  {
    name: "a value exactly as old as the ttl is in force",
    events: [["e1", 24 * HOUR, 4]],
    answers: [[4, "PRESENT"], [4, "PRESENT"], [4, "PRESENT"], ...ZEROS],
  },
  {
    name: "a value one millisecond older than the ttl is not",
    events: [["f1", 24 * HOUR + 1, 4]],
    answers: [[null, "OUTSIDE_MAX_AGE"], [3, "OUTSIDE_MAX_AGE"], [4, "PRESENT"], ...ZEROS],
  },
  {
    name: "beyond twice the ttl nothing is known of the entity",
    events: [["g1", 50 * HOUR, 4]],
    answers: [[null, "NOT_FOUND"], [3, "NOT_FOUND"], [4, "PRESENT"], ...ZEROS],
  },
  {
    name: "an older event that is written later does not win, and is counted",
    events: [
      ["h1", HOUR / 4, 5],
      ["h2", HOUR / 2, 1],
    ],
    answers: [
      [5, "PRESENT"],
      [5, "PRESENT"],
      [5, "PRESENT"],
      [2, "PRESENT"],
      [6, "PRESENT"],
    ],
  },
  {
    name: "a correction of the same moment wins by its version, also if it comes first",
    events: [
      ["i2", HOUR / 2, 2, 2],
      ["i1", HOUR / 2, 5, 1],
      ["i3", HOUR / 2, 3, 3],
      ["i0", HOUR / 2, 4, 0],
    ],
    answers: [
      [3, "PRESENT"],
      [3, "PRESENT"],
      [3, "PRESENT"],
      [4, "PRESENT"],
      [14, "PRESENT"],
    ],
  },
  {
    name: "an event that comes again counts once",
    events: [
      ["j1", HOUR / 2, 4],
      ["j1", HOUR / 2, 4],
    ],
    answers: [
      [4, "PRESENT"],
      [4, "PRESENT"],
      [4, "PRESENT"],
      [1, "PRESENT"],
      [4, "PRESENT"],
    ],
  },
  {
    name: "late events of long ago change what lasts, not what a window holds",
    events: [
      ["k1", HOUR / 2, 4],
      ["k2", 40 * HOUR, 1],
      ["k3", HOUR / 3, null],
    ],
    answers: [
      [null, "NULL_VALUE"],
      [3, "NULL_VALUE"],
      [null, "NULL_VALUE"],
      [2, "PRESENT"],
      [4, "PRESENT"],
    ],
  },
  {
    name: "an entity of which nothing came is NOT_FOUND",
    events: [],
    answers: [[null, "NOT_FOUND"], [3, "NOT_FOUND"], [null, "NOT_FOUND"], ...ZEROS],
  },
];

/** One answer to each case, whoever is asked: online, history, the JSON API, Feast's protocol. */
export function describeStatuses(name: string, openStores: () => Promise<StatusStores>): void {
  describe(`statuses on ${name}`, () => {
    let stores: StatusStores;
    let pipeline: Pipeline;
    let store: FeatureStore;
    let server: ApiServer;
    const rows = cases.map((_, i) => ({ driver: `driver-${i}` }));

    beforeAll(async () => {
      stores = await openStores();
      const { online, offline } = stores;
      const now = (): number => NOW;
      const declarations = collectDeclarations({ ratings, driver, facts, forever, activity, service });
      pipeline = createPipeline({ ...declarations, online, offline, now });
      store = createFeatureStore({ ...declarations, online, offline, now });
      const log = pino({ level: "silent" });
      server = await createApiServer({
        features: store,
        models: createModelHost({ models: [], features: store, pollSeconds: 3_600, cacheBytes: 1, log, now }),
        backend: pipeline as unknown as Parameters<typeof createApiServer>[0]["backend"],
        declarations,
        takeOver: async () => {
          throw millraceError("PLAN_BREAKING", "Nothing is taken over here.");
        },
        readiness: () => ({ ready: true, reasons: [] }),
        metrics: async () => ({ contentType: "text/plain", body: "" }),
        quality: () => ({
          model: null,
          rows: 0,
          features: [],
          skew: { equal: 0, different: 0, unknown: 0, examples: [] },
          predictions: [],
        }),
        limits: { bodyLimitBytes: 1e6, maxRows: 1_000 },
        log,
        version: "0",
        token: null,
      });
      await pipeline.recover();
      await pipeline.start();
      for (const [i, { events }] of cases.entries()) {
        for (const [id, ago, stars, version = null] of events) {
          const event = { id, ...rows[i]!, stars, version, at: new Date(NOW - ago).toISOString() };
          const { accepted } = await pipeline.push("ratings", [event], { readable: true });
          expect(accepted).toBe(1);
        }
      }
    });
    afterAll(async () => {
      await server.close();
      await pipeline.close();
      await stores[Symbol.asyncDispose]();
    });

    const post = async (url: string, body: object) => {
      const answer = await server.inject({ method: "POST", url, payload: body });
      expect(answer.statusCode, answer.body).toBe(200);
      return answer.json();
    };
    const zip = (values: readonly unknown[], statuses: readonly string[]) =>
      values.map((value, i) => [value, statuses[i]]);

    it.each(cases.map((one, i) => ({ ...one, i })))("$name", async ({ answers, i }) => {
      const online = await store.getOnlineFeatures("statuses_v1", { rows, exact: true });
      expect(zip(online.rows[i]!, online.statuses[i]!), "online").toEqual(answers);
      const { readLookup } = store.service("statuses_v1");
      const history = await store.getHistoricalFeatures("statuses_v1", {
        rows: rows.map((row) => ({ lookup: readLookup(row), time: NOW })),
      });
      expect(zip(history.rows[i]!, history.statuses[i]!), "history").toEqual(answers);
      const json = await post("/v1/features/online", { service: "statuses_v1", rows });
      expect(zip(json.rows[i], json.statuses[i]), "JSON").toEqual(answers);
      const entities = { driver: rows.map((row) => row.driver) };
      const features = ["facts:stars", "facts:stars_or_3", "forever:last", "activity:n", "activity:total"];
      for (const asked of [{ features }, { feature_service: "statuses_v1" }]) {
        const feast = await post("/get-online-features", { ...asked, entities });
        expect(feast.metadata.feature_names.slice(1)).toEqual(["stars", "stars_or_3", "last", "n", "total"]);
        const columns = feast.results.slice(1) as { values: unknown[]; statuses: string[] }[];
        const own = columns.map(({ values, statuses }) => [values[i], statuses[i]]);
        expect(own, "Feast").toEqual(answers);
      }
    });
  });
}
