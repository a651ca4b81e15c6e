import { MillraceError } from "../../src/definitions/errors.ts";
import { type MonitoredWorld, until } from "./monitored-world.ts";

/** Something that really breaks, and is mended. */
export interface AlertFault {
  readonly what: string;
  readonly alerts: readonly string[];
  cause(world: MonitoredWorld): Promise<void>;
  mend(world: MonitoredWorld): Promise<void>;
}

export interface AlertReport {
  readonly what: string;
  readonly alert: string;
  readonly firedAfter: number;
  readonly endedAfter: number;
}

export const storeDown: AlertFault = {
  what: "the hot store stands still",
  alerts: [
    "MillraceHotStoreUnavailable",
    "MillraceIngestionLag",
    "MillraceIngestionStalled",
    "MillraceLatencyBurnFast",
  ],
  cause: async ({ redis }) => redis.freeze(),
  mend: async ({ redis }) => redis.thaw(),
};

export const brokenUpdate: AlertFault = {
  what: "a new version's file is cut",
  alerts: ["MillraceModelUpdateFailing"],
  cause: ({ saveVersion }) => saveVersion(90, true),
  mend: ({ saveVersion }) => saveVersion(91),
};

export const modelGone: AlertFault = {
  what: "a model is unloaded while it is asked",
  alerts: ["MillraceAvailabilityBurnFast"],
  cause: async ({ post }) => void (await post("/v1/models/risk/unload", {})),
  mend: async ({ post }) => void (await post("/v1/models/risk/load", {})),
};

export const processHangs: AlertFault = {
  what: "the process hangs",
  alerts: ["MillraceDown"],
  cause: async ({ millrace }) => void process.kill(millrace.pid, "SIGSTOP"),
  mend: async ({ millrace }) => void process.kill(millrace.pid, "SIGCONT"),
};

export const driftedFeature: AlertFault = {
  what: "amounts come in another unit",
  alerts: ["MillraceFeatureDrift"],
  async cause({ prometheus, setUnit }) {
    // What is usual is learnt of the first rows.
    const query = 'millrace_feature_drift_detected{feature="amount"}';
    await until("amounts are compared", async () => (await prometheus.query(query)).length > 0, 120);
    setUnit(60);
  },
  mend: async ({ setUnit }) => setUnit(1),
};

/** For a while a card's count is another card's, as a fault of the store or of the software would have it. */
export const wrongValue: AlertFault = {
  what: "a value of the hot store is another entity's",
  alerts: ["MillraceTrainingServingSkew"],
  async cause({ post, redis, prometheus }) {
    // So that their counts differ.
    const at = new Date().toISOString();
    await post(
      "/v1/sources/payments/events",
      ["c0", "c0", "c5"].map((card_id) => ({ card_id, amount: 3, at })),
    );
    await until("the cards have values", async () => onValues(redis, "return from and to and 1 or 0") === "1");
    const query = 'sum(millrace_training_serving_skew_rows_total{service="paying",outcome="different"})';
    const found = async (): Promise<number> => (await prometheus.query(query))[0]!.value;
    const before = await found();
    onValues(redis, "redis.call('COPY', to, 'right', 'REPLACE') redis.call('COPY', from, to, 'REPLACE') return 1");
    await until("the check finds it", async () => (await found()) > before);
    onValues(redis, "redis.call('COPY', 'right', to, 'REPLACE') return 1");
  },
  mend: async () => {},
};

/** Runs Lua with the names of the counts of the cards c0 (`from`) and c5 (`to`): names of values are no text. */
function onValues(redis: MonitoredWorld["redis"], lua: string): string {
  const find = `local from, to for _, key in ipairs(redis.call('KEYS', 'millrace:v:counts@*')) do
    if string.find(key, 'c0', -8, true) then from = key end
    if string.find(key, 'c5', -8, true) then to = key end
  end `;
  return redis.cli("EVAL", find + lua, "0").trim();
}

export const modelTurned: AlertFault = {
  what: "a version answers the opposite",
  alerts: ["MillraceModelDegraded"],
  cause: ({ saveVersion }) => saveVersion(92, false, 0),
  mend: ({ saveVersion }) => saveVersion(93),
};

/** Counts grow as long as the load goes on: their drift is no fault. */
function isMeant({ feature = "amount" }: Readonly<Record<string, string>>): boolean {
  return feature === "amount";
}

/** Causes all of the faults, waits for their alerts, mends them and waits for the alerts' end. Seconds per alert. */
export async function tryFaults(world: MonitoredWorld, faults: readonly AlertFault[]): Promise<readonly AlertReport[]> {
  const expected = faults.flatMap(({ what, alerts }) => alerts.map((alert) => ({ what, alert })));
  const firing = async (): Promise<ReadonlySet<string>> =>
    new Set(
      (await world.prometheus.alerts())
        .filter(({ state, labels }) => state === "firing" && isMeant(labels))
        .map(({ labels }) => labels.alertname!),
    );
  const seconds = async (when: "fired" | "ended"): Promise<ReadonlyMap<string, number>> => {
    const started = performance.now();
    const found = new Map<string, number>();
    const missing = (): readonly string[] => expected.map(({ alert }) => alert).filter((alert) => !found.has(alert));
    try {
      await until(
        `all alerts have ${when}`,
        async () => {
          const now = await firing();
          for (const alert of missing()) {
            if (now.has(alert) === (when === "fired")) found.set(alert, (performance.now() - started) / 1_000);
          }
          return missing().length === 0;
        },
        100,
      );
    } catch (cause) {
      const states = JSON.stringify(await world.prometheus.alerts());
      throw new MillraceError(
        "TOOL_FAILED",
        `Alerts that have not ${when}: ${missing().join(", ")}. There are ${states}`,
        {
          kind: "operational",
          cause,
        },
      );
    }
    return found;
  };
  await seconds("ended");
  for (const fault of faults) await fault.cause(world);
  let fired: ReadonlyMap<string, number>;
  try {
    fired = await seconds("fired");
  } finally {
    for (const fault of faults) await fault.mend(world);
  }
  const ended = await seconds("ended");
  return expected.map(({ what, alert }) => ({
    what,
    alert,
    firedAfter: fired.get(alert)!,
    endedAfter: ended.get(alert)!,
  }));
}
