import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { ResolvedConfig } from "../../src/config/config.ts";
import type { SourceMeta } from "../../src/definitions/source.ts";
import { type BeamHost, beamHost } from "../../src/feature_engineering/beam/beam-host.ts";
import { EMBEDDED_FLINK, flinkStreamOptions } from "../../src/feature_engineering/beam/flink-options.ts";
import { type RunningBeamJob, runBeamJob } from "../../src/feature_engineering/beam/run-beam-job.ts";
import type { Declarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import { postgresOfflineStore } from "../../src/feature_store/offline/postgres-offline-store.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { redisOnlineStore } from "../../src/feature_store/online/redis-online-store.ts";
import { beamFile } from "../../src/pipeline/beam-files.ts";
import { type BeamJobSource, beamJob, prepareHistory } from "../../src/pipeline/beam-jobs.ts";
import { beamStream } from "../../src/pipeline/beam-streams.ts";
import { startPostgres } from "../services/postgres-server.ts";
import { startRedis } from "../services/redis-server.ts";

/** Redis and PostgreSQL of a test's own, and Beam jobs on an embedded Flink that write them. */
export interface BeamWorld {
  readonly hot: OnlineStore;
  readonly cold: OfflineStore;
  /** Folds lines of JSON, to the end. */
  backfill(lines: readonly string[], options?: BeamWorldOptions): Promise<void>;
  /** Folds several sources' files in one job. */
  files(sources: readonly BeamJobSource[], options?: BeamWorldOptions): Promise<RunningBeamJob>;
  /** Folds the files of sources, to the end. */
  fold(sources: readonly BeamJobSource[], options?: BeamWorldOptions): Promise<void>;
  /** Streams several sources in one job. */
  streams(sources: readonly BeamJobSource[], options?: BeamWorldOptions): Promise<RunningBeamJob>;
  /** Streams a topic until it is stopped; with checkpoints, and from one if named. */
  stream(brokers: readonly string[], topic: string, options?: BeamWorldOptions): Promise<RunningBeamJob>;
  /** The URL of a folder for checkpoints and savepoints. */
  readonly state: string;
  readonly host: BeamHost;
  close(): Promise<void>;
}

interface BeamWorldOptions {
  readonly schemaRegistry?: { readonly url: string };
  /** A folder for raw events as Parquet. */
  readonly parquet?: string;
  /** Its events are read from their beginning. */
  readonly anew?: boolean;
  /** Another Redis than the world's. */
  readonly online?: ResolvedConfig["online"];
  readonly generation?: number;
  readonly from?: number;
  readonly until?: number;
  readonly savepoint?: string;
  /** The JavaScript engine of the workers. Default `v8`. */
  readonly engine?: "v8" | "graal";
  /** Which runner. Default: an embedded Flink. */
  readonly runner?: readonly string[];
  /** Default 1,024. */
  readonly heapMegabytes?: number;
  /** Beam's own options. */
  readonly options?: readonly string[];
}

const PASSWORD = "p@ss/w:rd 'quoted'";

export interface BeamWorldSetup {
  /** Optional parts of the host. */
  readonly parts?: readonly string[];
  /** The stores take TLS only, and Redis asks for a password. */
  readonly secure?: boolean;
}

export async function beamWorld(
  declarations: Declarations,
  source: SourceMeta,
  parallelism = 1,
  { parts = [], secure = false }: BeamWorldSetup = {},
): Promise<BeamWorld> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-beam-world-"));
  const [redis, postgres] = await Promise.all([
    startRedis(secure ? { tls: true, password: PASSWORD } : {}),
    startPostgres({ tls: secure }),
  ]);
  const online = {
    store: "redis" as const,
    url: `${secure ? "rediss" : "redis"}://127.0.0.1:${redis.port}`,
    ...(secure ? { password: PASSWORD, tls: { ca: redis.ca! } } : {}),
  };
  const authority = secure ? readFileSync(join(postgres.sql("SHOW data_directory").trim(), "server.crt"), "utf8") : "";
  const offline = {
    store: "postgres" as const,
    url: await postgres.createDatabase(),
    ...(secure ? { tls: { ca: authority } } : {}),
  };
  const hot = await redisOnlineStore(online);
  const cold = await postgresOfflineStore(offline);
  const host = await beamHost({ parts });
  const state = pathToFileURL(join(folder, "state")).href;

  async function start(
    inputs: readonly BeamJobSource[],
    own: BeamWorldOptions,
    beam: readonly string[],
  ): Promise<RunningBeamJob> {
    const { from = null, until = null, generation = 1, schemaRegistry, parquet, engine = "v8" } = own;
    const chosen = engine === "v8" ? host : await beamHost({ parts: [engine] });
    const sources = inputs.map((input) => ({ from, until, ...input }));
    await prepareHistory({ declarations, sources }, cold);
    const job = beamJob({
      ...{ declarations, online: own.online ?? online, offline, generation, engine, script: host.script, sources },
      ...(schemaRegistry === undefined ? {} : { schemaRegistry }),
      ...(parquet === undefined ? {} : { parquet, parquetEveryMs: 1_000, anew: own.anew ?? false }),
    });
    const runner = own.runner ?? [...EMBEDDED_FLINK, `--parallelism=${parallelism}`];
    const options = [...runner, ...beam, ...(own.options ?? [])];
    return runBeamJob(chosen, job, { options, heapMegabytes: own.heapMegabytes ?? 1_024 });
  }

  const streams: BeamWorld["streams"] = (sources, own = {}) =>
    start(sources, own, [...flinkStreamOptions({ state, savepoint: own.savepoint ?? null, checkpointEvery: 1_000 })]);

  return {
    hot,
    cold,
    state,
    host,
    files: (sources, own = {}) => start(sources, own, []),
    streams,
    async fold(sources, own = {}) {
      await (await start(sources, own, [])).ended;
    },
    async backfill(lines, own = {}) {
      const path = join(folder, `${crypto.randomUUID()}.jsonl`);
      await writeFile(path, lines.join("\n"));
      await (await start([{ source, input: { files: [await beamFile(path)] } }], own, [])).ended;
    },
    stream(brokers, topic, own = {}) {
      const connector = {
        connector: "kafka",
        cluster: "default",
        topics: [topic],
        group: null,
        start: "earliest",
      } as const;
      const input = beamStream({ ...source, connector }, { kafka: { default: { brokers } } }, null);
      return streams([{ source, input }], own);
    },
    async close() {
      await hot.close();
      await cold.close();
      await Promise.all([redis.remove(), postgres.remove()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
