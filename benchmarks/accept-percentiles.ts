import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { startMonitoredWorld, until } from "../integration/monitoring/monitored-world.ts";
import { httpLoad, type LoadResult } from "./http-load.ts";

interface Phase {
  readonly what: string;
  readonly model: "risk" | "asked";
  readonly medianMs: number;
  readonly connections: number;
  readonly seconds: number;
}

/** The first is predicted by Millrace itself, the others by a server that takes its time, by a lognormal distribution. */
const PHASES: readonly Phase[] = [
  { what: "own model, mostly below 0.1 ms", model: "risk", medianMs: 0, connections: 1, seconds: 10 },
  { what: "own model, together", model: "risk", medianMs: 0, connections: 16, seconds: 10 },
  { what: "asked, around 10 ms", model: "asked", medianMs: 10, connections: 8, seconds: 15 },
  { what: "asked, around 100 ms", model: "asked", medianMs: 100, connections: 48, seconds: 20 },
  { what: "asked, around 1.5 s", model: "asked", medianMs: 1_500, connections: 300, seconds: 25 },
];
/** So that the answers of the slowest phase end in the histogram's range. */
const SIGMA = 0.5;
const QUANTILES = [0.5, 0.95, 0.99] as const;

interface Told {
  readonly phase: Phase;
  readonly load: LoadResult;
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
  /** Milliseconds, as QUANTILES. */
  readonly prometheus: readonly number[];
}

/**
 * P50, P95 and P99 by a real Prometheus' `histogram_quantile` against the exact ones of the same requests: as Millrace
 * itself measured each of them, which is what its histogram is of, and, beside, as whoever sent them did, which has the
 * way there and back and the sender's own delays in it.
 */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-percentiles-"));
  const notes = join(folder, "durations");
  const scoring = slowServer();
  scoring.server.listen(0, "127.0.0.1");
  await once(scoring.server, "listening");
  const { port } = scoring.server.address() as AddressInfo;
  try {
    const told = await measureAll(`http://127.0.0.1:${port}`, notes, scoring.setMedian);
    const noted = (await readFile(notes, "utf8")).split("\n").map((line) => line.split(" "));
    let worst = 0;
    for (const { phase, load, from, to, prometheus } of told) {
      const exact = Float64Array.from(
        noted.filter(([model, at]) => model === phase.model && Number(at) >= from && Number(at) <= to),
        ([, , seconds]) => Number(seconds) * 1_000,
      ).sort();
      process.stdout.write(
        `${phase.what}: ${load.requests.toLocaleString("en")} requests, ${load.failures} failures, ${exact.length.toLocaleString("en")} noted\n`,
      );
      for (const [i, q] of QUANTILES.entries()) {
        const own = exact[Math.ceil(q * exact.length) - 1]!;
        const sender = [load.p50, load.p95, load.p99][i]!;
        const error = (prometheus[i]! / own - 1) * 100;
        if (own >= 0.1 && own <= 10_000) worst = Math.max(worst, Math.abs(error));
        process.stdout.write(
          `  P${q * 100}: Prometheus ${prometheus[i]!.toFixed(3)} ms, exact ${own.toFixed(3)} ms: ${error.toFixed(2)}%   (aim: within 3%)   at the sender ${sender.toFixed(3)} ms\n`,
        );
      }
    }
    process.stdout.write(`worst from 0.1 ms to 10 s: ${worst.toFixed(2)}%   (aim: within 3%)\n`);
  } finally {
    scoring.server.closeAllConnections();
    scoring.server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureAll(
  scoringUrl: string,
  notes: string,
  setMedian: (ms: number) => void,
): Promise<readonly Told[]> {
  const note = new URL("monitoring/note-durations.ts", import.meta.url);
  await using world = await startMonitoredWorld({
    scale: 60,
    scoringUrl,
    queueDelayTargetMs: 0,
    environment: { NODE_OPTIONS: `--import=${note.href}`, NOTED_DURATIONS: notes },
  });
  const body = JSON.stringify({ rows: [{ card_id: "c", amount: 1 }] });
  const told: Told[] = [];
  for (const phase of PHASES) {
    setMedian(phase.medianMs);
    const target = `${world.millrace.url}/v1/models/${phase.model}/predict`;
    const seriesOf = (suffix: string): string =>
      `millrace_prediction_duration_seconds_${suffix}{model="${phase.model}"}`;
    const counted = async (): Promise<number> => (await world.prometheus.query(seriesOf("count")))[0]?.value ?? 0;
    const before = await counted();
    await httpLoad(target, [body], phase.connections, 1);
    // What of the warm-up Prometheus had not seen yet would count as of the load.
    await until("Prometheus has seen the warm-up", async () => (await counted()) > before);
    await pause(2_500);
    const seen = await counted();
    const from = Date.now();
    const load = await httpLoad(target, [body], phase.connections, phase.seconds);
    const to = Date.now();
    await until("Prometheus has them all", async () => (await counted()) >= seen + load.requests - load.failures);
    const bucket = seriesOf("bucket");
    const during = `${bucket} - (${bucket} @ ${(from / 1_000).toFixed(3)})`;
    const prometheus = await Promise.all(
      QUANTILES.map(async (q) => {
        const [sample] = await world.prometheus.query(`histogram_quantile(${q}, ${during})`);
        return (sample?.value ?? Number.NaN) * 1_000;
      }),
    );
    told.push({ phase, load, from, to, prometheus });
  }
  return told;
}

/** An answer to each row: those of one turn of the event loop come together. */
function rowsOf(body: string): readonly number[] {
  const { dataframe_split } = JSON.parse(body) as { dataframe_split: { data: readonly unknown[] } };
  return dataframe_split.data.map(() => 1);
}

function slowServer(): { readonly server: Server; setMedian(ms: number): void } {
  let median = 0;
  let state = 7;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 1) / 4_294_967_298;
  };
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      const normal = Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
      const predictions = request.method === "POST" ? rowsOf(body) : [];
      const answer = (): void => void response.end(JSON.stringify({ predictions }));
      setTimeout(answer, predictions.length === 0 ? 0 : median * Math.exp(SIGMA * normal));
    });
  });
  return {
    server,
    setMedian(ms) {
      median = ms;
    },
  };
}
