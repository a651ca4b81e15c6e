import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { logged } from "../../../conformance/offline/offline-store-fixtures.ts";
import {
  derive,
  entity,
  featureService,
  featureView,
  httpPush,
  latest,
  model,
  modelFolder,
  outcome,
  streamSource,
  t,
} from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import { compareEventOrder } from "../../../src/feature_engineering/aggregations/event-order.ts";
import type { LoggedEvent } from "../../../src/feature_engineering/engine/event-log.ts";
import { serviceHash } from "../../../src/feature_engineering/plan/plan-hash.ts";
import { encodeLoggedPrediction } from "../../../src/feature_store/logged-prediction.ts";
import { memoryOfflineStore } from "../../../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../../../src/feature_store/offline/offline-store.ts";
import { followOutcome, type OutcomeFollower } from "../../../src/feature_store/outcomes/outcome-follower.ts";
import { compileOutcome } from "../../../src/feature_store/outcomes/outcome-runtime.ts";

const card = entity("card", { card_id: t.string() });
const verdicts = streamSource("verdicts", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1s",
  version: "version",
  schema: {
    card_id: t.string().nullable(),
    minute: t.int32(),
    prediction: t.string().nullable(),
    fraud: t.bool().nullable(),
    at: t.timestamp(),
    version: t.int32(),
  },
});
const view = featureView("cards", {
  source: verdicts,
  entity: card,
  features: { fraud: latest(verdicts.fraud) },
});
const service = featureService("risk", { features: { fraud: view.fraud } });
const risk = model("risk", {
  inputs: service,
  output: { probability: t.float64() },
  source: modelFolder("/nowhere"),
  predictionLog: { sampleRate: 0.5 },
});
const shared = {
  model: risk,
  source: verdicts,
  label: verdicts.fraud,
  predicted: "probability",
  within: "10s",
  windows: ["20s", "1m"],
} as const;
const byCard = { card_id: derive({ card: verdicts.card_id }, t.string().nullable(), ({ card }) => card) };
const OUTCOMES = {
  first: outcome("first", { ...shared, keys: { card_id: verdicts.card_id } }),
  latest: outcome("latest", { ...shared, keys: { card_id: verdicts.card_id }, take: "latest" }),
  otherwise: outcome("otherwise", { ...shared, keys: { card_id: verdicts.card_id }, otherwise: false }),
  by_id: outcome("by_id", { ...shared, predictionId: verdicts.prediction }),
};
const table = { source: "verdicts", columns: verdicts[Meta].columns, hasId: false };
const T0 = 1_700_000_000_000;

interface Predicted {
  readonly card: string;
  readonly asOf: number;
  readonly version: string;
  readonly score: number | null;
  readonly id: string;
}
interface Told {
  readonly card: string | null;
  readonly prediction: string | null;
  readonly at: number;
  readonly version: number;
  readonly fraud: boolean | null;
}

async function append(store: OfflineStore, rows: readonly Predicted[]): Promise<void> {
  await store.appendPredictions(
    rows.map(({ card, asOf, version, score, id }) => ({
      model: "risk",
      at: 0,
      keys: [],
      json: encodeLoggedPrediction({
        modelVersion: version,
        service: "risk",
        serviceHash: serviceHash(service[Meta]),
        asOf: T0 + asOf,
        lookup: [card],
        inputs: [],
        statuses: [],
        outputs: { probability: score },
        sampleRate: 0.5,
        id,
        views: null,
      }),
    })),
  );
}

/** The definition, pair by pair. */
function oracle(
  kind: keyof typeof OUTCOMES,
  predictions: readonly Predicted[],
  events: readonly LoggedEvent[],
  clock: number,
): object {
  const decided: { at: number; version: string; pair: [number | null, boolean | null] }[] = [];
  let waiting = 0;
  for (const { card, asOf, version, score, id } of predictions) {
    const telling = events
      .filter(({ row: [of, , named, fraud], eventTime }) => {
        const same = kind === "by_id" ? named === id : of === card;
        return same && fraud !== null && eventTime >= T0 + asOf && eventTime < T0 + asOf + 10_000;
      })
      .sort(compareEventOrder);
    const first = telling.filter(({ eventTime }) => eventTime === telling[0]!.eventTime).at(-1);
    const event = kind === "latest" ? telling.at(-1) : first;
    if (event !== undefined && event.eventTime < clock) {
      decided.push({ at: event.eventTime, version, pair: [score, event.row[3] as boolean] });
    } else if (event === undefined && clock >= T0 + asOf + 11_000) {
      decided.push({ at: T0 + asOf + 10_000, version, pair: [score, kind === "otherwise" ? false : null] });
    } else waiting++;
  }
  const count = (of: typeof decided): object => {
    const scored = of.filter(({ pair: [score, fraud] }) => score !== null && fraud !== null);
    return {
      unmatched: of.filter(({ pair }) => pair[1] === null).length,
      unscored: of.filter(({ pair: [score, fraud] }) => score === null && fraud !== null).length,
      quality: {
        rows: scored.length,
        weight: scored.length * 2,
        metrics:
          scored.length === 0
            ? {}
            : {
                brier: {
                  value: expect.closeTo(
                    scored.reduce((sum, { pair: [score, fraud] }) => sum + (score! - Number(fraud)) ** 2, 0) /
                      scored.length,
                    12,
                  ),
                },
              },
      },
    };
  };
  const windows = [20_000, 60_000].map((ms) => {
    const within = decided.filter(({ at }) => at >= clock - ms);
    const versions = [...new Set(within.map(({ version }) => version))].sort();
    return {
      ...count(within),
      versions: versions.map((version) => ({ version, ...count(within.filter((one) => one.version === version)) })),
    };
  });
  return { waiting, windows };
}

const step = fc.oneof(
  fc.record({
    predict: fc.array(
      fc.record({
        card: fc.constantFrom("a", "b", "c"),
        asOf: fc.integer({ min: 0, max: 60 }).map((n) => n * 500),
        version: fc.constantFrom("1", "2"),
        score: fc.option(fc.constantFrom(0, 0.25, 0.5, 1), { freq: 6 }),
        id: fc.integer({ min: 0, max: 12 }).map(String),
      }),
      { minLength: 1, maxLength: 6 },
    ),
  }),
  fc.record({
    tell: fc.array(
      fc.record({
        card: fc.option(fc.constantFrom("a", "b", "c"), { freq: 6 }),
        prediction: fc.option(fc.integer({ min: 0, max: 12 }).map(String), { freq: 6 }),
        at: fc.integer({ min: 0, max: 80 }).map((n) => n * 500),
        version: fc.integer({ min: 1, max: 3 }),
        fraud: fc.option(fc.boolean(), { freq: 6 }),
      }),
      { minLength: 1, maxLength: 6 },
    ),
    /** The partition's batch comes once more, which the log drops. */
    again: fc.boolean(),
  }),
  fc.constant({ look: true as const }),
  fc.constant({ restart: true as const }),
);

describe("the outcomes of predictions", () => {
  it.each(["first", "latest", "otherwise", "by_id"] as const)(
    "are those of the definition (%s), whatever came first, twice, late or after a restart",
    async (kind) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { maxLength: 25, size: "max" }),
          fc.integer({ min: 0, max: 120 }),
          async (steps, end) => {
            const offline = memoryOfflineStore();
            await offline.prepareSource(table);
            const owned = await offline.own("verdicts", "0");
            let clock = T0;
            let moment = 0;
            const follow = (): OutcomeFollower =>
              followOutcome({
                runtime: compileOutcome(OUTCOMES[kind][Meta], () => expect.fail("a function failed")),
                offline,
                clock: async () => clock,
                now: () => moment,
              });
            let follower = follow();
            const predictions: Predicted[] = [];
            const events: LoggedEvent[] = [];
            for (const one of steps) {
              moment += 50_000;
              clock += 1_000;
              if ("predict" in one) {
                predictions.push(...one.predict);
                await append(offline, one.predict);
              } else if ("tell" in one) {
                const batch = one.tell.map(({ card, prediction, at, version, fraud }: Told, i) =>
                  logged(table, owned, events.length + i, { eventTime: T0 + at, version, ingestedAt: T0 }, [
                    card,
                    0,
                    prediction,
                    fraud,
                    T0 + at,
                    version,
                  ]),
                );
                events.push(...batch);
                const commit = { partition: owned, events: batch, deadLetters: [], lastOffset: events.length - 1 };
                await offline.commit(commit);
                if (one.again) await offline.commit(commit);
              } else if ("look" in one) await follower.look();
              else follower = follow();
            }
            clock = Math.max(clock, T0 + end * 500);
            const report = await follower.look();
            expect({ ...report, windows: report.windows.slice(1) }).toMatchObject(
              oracle(kind, predictions, events, clock),
            );
          },
        ),
        { numRuns: 150 },
      );
    },
    60_000,
  );

  it("forget an erased entity, and hold no more than they may", async () => {
    const offline = memoryOfflineStore();
    await offline.prepareSource(table);
    await offline.own("verdicts", "0");
    const follower = followOutcome({
      runtime: compileOutcome(OUTCOMES.first[Meta], () => {}),
      offline,
      clock: async () => T0 + 20_000,
      now: () => 0,
      capacity: 3,
    });
    const rows = ["a", "b", "c", "d", "e"].map((card, i) => ({ card, asOf: i, version: "1", score: 0, id: card }));
    await append(offline, rows);
    expect(await follower.look()).toMatchObject({
      dropped: 2,
      completeFrom: T0 + 2,
      windows: [{}, { unmatched: 3 }, {}],
    });
    const keyTypes = [{ kind: "string", nullable: false }] as const;
    await offline.erase({ entity: "card", key: ["d"], keyTypes, roles: [], at: 1 });
    await offline.removePredictions(1);
    expect(await follower.look()).toMatchObject({ dropped: 0, windows: [{}, { unmatched: 0 }, {}] });
  });

  it("begin anew after a look that failed", async () => {
    const offline = memoryOfflineStore();
    await offline.prepareSource(table);
    await offline.own("verdicts", "0");
    await append(offline, [{ card: "a", asOf: 0, version: "1", score: 0, id: "1" }]);
    let fails = true;
    const follower = followOutcome({
      runtime: compileOutcome(OUTCOMES.first[Meta], () => {}),
      offline: {
        ...offline,
        history: (query) => {
          if (fails) throw new TypeError("gone");
          return offline.history(query);
        },
      },
      clock: async () => T0,
      now: () => 0,
    });
    await expect(follower.look()).rejects.toThrow("gone");
    fails = false;
    expect(await follower.look()).toMatchObject({ waiting: 1 });
  });
});

describe("an outcome", () => {
  const make = (change: object): unknown => outcome("o", { ...shared, keys: { card_id: verdicts.card_id }, ...change });
  it.each([
    [
      "a model whose predictions are not logged",
      {
        model: model("quiet", {
          inputs: service,
          output: { probability: t.float64() },
          source: modelFolder("/nowhere"),
        }),
      },
    ],
    ["a key that the lookup lacks", { keys: { user_id: verdicts.card_id } }],
    [
      "a key that is not logged",
      {
        model: model("quiet", {
          inputs: service,
          output: { probability: t.float64() },
          source: modelFolder("/nowhere"),
          predictionLog: { sampleRate: 1, redact: ["card_id"] },
        }),
      },
    ],
    ["a key of another type", { keys: { card_id: verdicts.minute } }],
    ["no key", { keys: {} }],
    ["keys and an id", { predictionId: verdicts.prediction }],
    ["only computed keys", { keys: byCard }],
    ["an output that the model lacks", { predicted: "score" }],
    ["a label that is a time", { label: verdicts.at }],
    ["a horizon beyond the log", { within: "31d" }],
    ["no window", { windows: [] }],
    ["a bound that is no number", { bounds: { auc: Number.NaN } }],
    ["a silence of another type", { otherwise: "no" }],
    ["a value that is not its source's", { label: view.fraud }],
  ])("is refused with %s", (_, change) => {
    expect(() => make(change)).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
  });
});
