import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FaultStores } from "../integration/orders/fault-stores.ts";
import { kafkaCluster } from "../integration/services/kafka-cluster.ts";
import { startPostgres } from "../integration/services/postgres-server.ts";
import { pythonEnvironment } from "../integration/services/python-environment.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import type { Consumed, Consumption } from "./kafka/consume.ts";
import { type Load, produceLoad } from "./kafka/load.ts";
import { profileSummary } from "./profile-summary.ts";

const PARTITIONS = 8;
const ENTITIES = 100_000;
const AIMS = { uniform: "50,000", zipf: "100,000" } as const;
const here = (file: string): string => fileURLToPath(new URL(`kafka/${file}`, import.meta.url));

/**
 * Kafka to the embedded stores and to Redis + PostgreSQL: 2 million events in 8 partitions, decoded, committed, folded into
 * three views of four aggregations and three windows over 100 thousand entities each, beside Python confluent-kafka that
 * only consumes and parses the same topics. CPU is that of the consuming process, and of the stores' servers beside it. Arguments: `short` (200 thousand events), `--profile` (where the consumer's time went), and to
 * choose of it `200`, `1024`, `uniform`, `zipf`, `embedded`, `servers`, `peer`.
 */
export async function run(args: readonly string[]): Promise<void> {
  const events = args.includes("short") ? 200_000 : 2_000_000;
  const chosen = <T extends string | number>(all: readonly T[]): readonly T[] => {
    const some = all.filter((one) => args.includes(String(one)));
    return some.length > 0 ? some : all;
  };
  const cluster = await kafkaCluster();
  // As docs/production.md tells to set them: the indexes of views' keys are written all over.
  const settings = { shared_buffers: "1GB", max_wal_size: "8GB", checkpoint_timeout: "'30min'" };
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres({ settings })]);
  const folder = await mkdtemp(join(tmpdir(), "millrace-bench-kafka-"));
  /** CPU time of PostgreSQL's ended connections, and of Redis. */
  const serverSeconds = async (): Promise<number[]> => {
    const used = redis.cli("info", "cpu").matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm);
    return [await postgres.backendSeconds(), [...used].reduce((sum, [, seconds]) => sum + Number(seconds), 0)];
  };
  try {
    for (const bytes of chosen([200, 1024] as const)) {
      for (const keys of chosen(["uniform", "zipf"] as const)) {
        const load: Load = {
          topic: `payments-${bytes}-${keys}`,
          partitions: PARTITIONS,
          events,
          bytes,
          entities: ENTITIES,
          keys,
        };
        await produceLoad(cluster.brokers, load);
        for (const contestant of chosen(["peer", "embedded", "servers"] as const)) {
          const name = `${bytes} B, ${keys}, ${contestant}`.padEnd(26);
          if (contestant === "peer") {
            const python = join(pythonEnvironment(["confluent-kafka==2.11.1"]), "python");
            report(
              name,
              events,
              json(python, [here("peer.py"), cluster.brokers.join(","), load.topic, String(events)]),
            );
            continue;
          }
          const stores: FaultStores =
            contestant === "embedded"
              ? { folder: join(folder, load.topic) }
              : {
                  redis: `redis://127.0.0.1:${redis.port}`,
                  postgres: await postgres.createDatabase(),
                  keyPrefix: `${load.topic}:`,
                };
          const consumption: Consumption = { brokers: cluster.brokers, topic: load.topic, events, stores };
          const aim = bytes === 200 && contestant === "servers" ? AIMS[keys] : null;
          const profiles = join(folder, `profile-${name.replaceAll(/\W+/g, "-")}`);
          const profiling = args.includes("--profile") ? ["--cpu-prof", `--cpu-prof-dir=${profiles}`] : [];
          const own = [...profiling, here("consume.ts"), JSON.stringify(consumption)];
          const before = await serverSeconds();
          report(name, events, json(process.execPath, own), aim);
          if (contestant === "servers") {
            const [inPostgres, inRedis] = (await serverSeconds()).map((seconds, n) => seconds - before[n]!);
            process.stdout.write(
              `    CPU per event in the servers: PostgreSQL ${perEvent(inPostgres!, events)} µs, Redis ${perEvent(inRedis!, events)} µs\n`,
            );
          }
          if (profiling.length > 0) await reportProfile(profiles);
          if (contestant === "servers") redis.cli("flushall");
        }
      }
    }
  } finally {
    await Promise.all([cluster.close(), redis.remove(), postgres.remove()]);
    await rm(folder, { recursive: true, force: true });
  }
}

async function reportProfile(folder: string): Promise<void> {
  const [file] = (await readdir(folder)).filter((name) => name.endsWith(".cpuprofile"));
  if (file === undefined) return;
  for (const line of profileSummary(join(folder, file), 25)) process.stdout.write(`    ${line}\n`);
}

const perEvent = (seconds: number, events: number): string => ((seconds / events) * 1e6).toFixed(1);

type Figures = Pick<Consumed, "seconds" | "cpuSeconds" | "rssBytes"> & Partial<Consumed>;

function json(program: string, args: readonly string[]): Figures {
  const text = execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  return JSON.parse(text.trim().split("\n").at(-1)!) as Figures;
}

function report(name: string, events: number, figures: Figures, aim: string | null = null): void {
  const { seconds, cpuSeconds, rssBytes, writes, commitSeconds = 0, foldSeconds = 0, writeSeconds = 0 } = figures;
  const rate = Math.round(events / seconds).toLocaleString("en");
  const own =
    writes === undefined
      ? ""
      : `, ${(writes / events).toFixed(2)} hot writes per event, commit ${commitSeconds.toFixed(1)} s, fold ${foldSeconds.toFixed(1)} s, write ${writeSeconds.toFixed(1)} s of ${seconds.toFixed(1)} s`;
  process.stdout.write(
    `${name} ${rate} events/s${aim === null ? "" : ` (aim: ${aim})`}, ${perEvent(cpuSeconds, events)} µs CPU per event, ${Math.round(rssBytes / 2 ** 20)} MiB at most${aim === null ? "" : " (aim: under 1 GB)"}${own}\n`,
  );
}
