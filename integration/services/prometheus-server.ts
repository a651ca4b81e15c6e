import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { prometheusYaml, rulesYaml } from "../../scripts/monitoring/rules-yaml.ts";
import { MillraceError } from "../../src/definitions/errors.ts";
import { freePorts } from "./free-ports.ts";
import { prometheusTool } from "./prometheus-tool.ts";
import { spawnService } from "./spawn-service.ts";

export interface PrometheusSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface PrometheusAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly state: "pending" | "firing";
}

/** A real Prometheus of this test run, which scrapes and evaluates each second. */
export interface PrometheusServer extends AsyncDisposable {
  readonly url: string;
  /** The value now. @throws `TOOL_FAILED` if it refuses the query */
  query(expr: string): Promise<readonly PrometheusSample[]>;
  alerts(): Promise<readonly PrometheusAlert[]>;
  exemplars(expr: string): Promise<readonly { readonly traceId: string; readonly value: number }[]>;
}

/** How long an answer may take; without it a question that is never answered would stand until the test's end. */
const ANSWER_MS = 10_000;

/**
 * Resolves when it has scraped the target once, which takes it five seconds: what grew before would have no sample to have
 * grown from, and no rate. `target`: host and port of a Millrace. `scale`: how much shorter the rules' times are.
 */
export async function startPrometheus(target: string, scale: number): Promise<PrometheusServer> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-prometheus-"));
  await writeFile(join(folder, "prometheus.yml"), prometheusYaml([target], 1));
  await writeFile(join(folder, "millrace-rules.yml"), rulesYaml(scale, 1));
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const child = spawnService(prometheusTool("prometheus"), [
    `--config.file=${join(folder, "prometheus.yml")}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
    "--enable-feature=exemplar-storage",
  ]);
  let log = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ended = once(child, "exit");

  async function ask<T>(path: string, parameters: Readonly<Record<string, string>>): Promise<T> {
    const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(parameters)}`, {
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const { data, error } = (await response.json()) as { data: T; error?: string };
    if (error !== undefined) throw failed(`refuses ${JSON.stringify(parameters)}: ${error}`);
    return data;
  }
  const failed = (what: string): MillraceError =>
    new MillraceError("TOOL_FAILED", `Prometheus ${what}\n${log.slice(-2_000)}`, { kind: "operational" });

  async function query(expr: string): Promise<readonly PrometheusSample[]> {
    const { result } = await ask<{
      result: readonly { readonly metric: Record<string, string>; readonly value: readonly [number, string] }[];
    }>("query", { query: expr });
    return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }
  const close = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true });
  };

  for (const deadline = performance.now() + 60_000; ; await pause(50)) {
    const up = await query("up").catch(() => []);
    if (up[0]?.value === 1) break;
    if (child.exitCode !== null || performance.now() > deadline) {
      const error = failed(`has not scraped ${target}: it says up is ${up[0]?.value}.`);
      await close();
      throw error;
    }
  }
  return {
    url,
    query,
    async alerts() {
      return (await ask<{ alerts: readonly PrometheusAlert[] }>("alerts", {})).alerts;
    },
    async exemplars(expr) {
      const now = Date.now() / 1_000;
      const found = await ask<
        readonly { readonly exemplars: readonly { readonly labels: { trace_id: string }; readonly value: string }[] }[]
      >("query_exemplars", { query: expr, start: String(now - 600), end: String(now + 60) });
      return found.flatMap(({ exemplars }) =>
        exemplars.map(({ labels, value }) => ({ traceId: labels.trace_id, value: Number(value) })),
      );
    },
    [Symbol.asyncDispose]: close,
  };
}
