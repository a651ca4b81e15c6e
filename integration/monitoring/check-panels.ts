import { setTimeout as pause } from "node:timers/promises";
import { httpLoad } from "../../benchmarks/http-load.ts";
import { DASHBOARDS } from "../../scripts/monitoring/dashboards.ts";
import { metricNames } from "../../scripts/monitoring/metric-names.ts";
import { PENDING_METRICS } from "../../scripts/monitoring/pending-metrics.ts";
import { recordingRules } from "../../scripts/monitoring/recording-rules.ts";
import { type MonitoredWorld, until } from "./monitored-world.ts";

export interface PanelReport {
  readonly panels: number;
  readonly withData: number;
  /** Panels of metrics that nothing shows yet. */
  readonly pending: readonly string[];
  readonly empty: readonly string[];
  /** Each name of each query, written otherwise: so many queries, which must all be empty. */
  readonly renamed: number;
  /** Those that had data all the same. */
  readonly blind: readonly string[];
}

/** Over what Grafana would take for the rates of this test's scrapes. */
const RATE_INTERVAL = "10s";

/** The monitored world ends no TLS and runs no Beam: `integration/tls.test.ts` and `beam-commands.test.ts` see these. */
const OF_OTHERS = /^millrace_(tls|beam)_/;

/** Asks every panel's queries of the world's Prometheus, and again with each metric renamed. */
export async function checkPanels(world: MonitoredWorld, patienceSeconds = 100): Promise<PanelReport> {
  const panels = DASHBOARDS.flatMap(({ name, rows }) =>
    rows.flatMap((row) => row.panels.map((panel) => ({ at: `${name}: ${panel.title}`, ...panel }))),
  );
  const isAwaited = (name: string): boolean => PENDING_METRICS.has(name) || OF_OTHERS.test(name);
  const isPending = ({ queries }: (typeof panels)[number]): boolean =>
    queries.some(({ expr }) => metricNames(expr).some(isAwaited));
  await using _load = world.load();
  // A version that cannot be loaded, and more work at once than the queue may hold.
  await world.saveVersion(2, true);
  const rows = Array.from({ length: 2_000 }, (_, i) => ({ card_id: `c${i}`, amount: 1 }));
  await httpLoad(`${world.millrace.url}/v1/models/risk/predict`, [JSON.stringify({ rows })], 48, 3);

  const hasData = async (expr: string): Promise<boolean> =>
    (await world.prometheus.query(expr.replaceAll("$__rate_interval", RATE_INTERVAL))).some(({ value }) =>
      Number.isFinite(value),
    );
  const asked = panels.filter((panel) => !isPending(panel));
  const empty = new Map(
    asked.flatMap(({ at, queries }) => queries.map(({ expr }) => [`${at}: ${expr}`, expr] as const)),
  );
  const queries = new Map(empty);
  await until(
    "every panel has data",
    async () => {
      for (const [at, expr] of empty) if (await hasData(expr)) empty.delete(at);
      return empty.size === 0;
    },
    patienceSeconds,
  ).catch(() => 0);

  let renamed = 0;
  const blind: string[] = [];
  const expressions = [...queries, ...recordingRules(1).map(({ record, expr }) => [record, expr] as const)];
  for (const [at, expr] of expressions) {
    for (const name of new Set(metricNames(expr))) {
      if (isAwaited(name)) continue;
      renamed++;
      const other = expr.replaceAll(new RegExp(`(?<![\\w:])${name}(?![\\w:])`, "g"), `${name}_renamed`);
      if (other === expr || (await hasData(other))) blind.push(`${at}: ${name}`);
    }
    await pause(0);
  }
  return {
    panels: panels.length,
    withData: asked.filter(({ at }) => ![...empty.keys()].some((key) => key.startsWith(`${at}: `))).length,
    pending: panels.filter(isPending).map(({ at }) => at),
    empty: [...empty.keys()],
    renamed,
    blind,
  };
}
