import { createHash } from "node:crypto";
import type { BackfillJob, BackfillRequest, BackfillView } from "../api/lifecycle-backend.ts";
import { type DeadLetterThresholds, deadLetterThresholdOf } from "../config/dead-letter-config.ts";
import { millraceError } from "../definitions/errors.ts";
import type { SourceMeta } from "../definitions/source.ts";
import { entityKeyText, keyOf } from "../feature_store/offline/entity-key-text.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../feature_store/online/online-store.ts";
import { rebuild } from "../feature_store/rebuild.ts";
import { readSourceClock } from "../feature_store/source-clock.ts";
import type { ViewRuntime } from "../feature_store/view-runtime.ts";
import { loadFiles } from "./load-files.ts";

export interface BackfillOptions {
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  readonly current: () => { readonly views: readonly ViewRuntime[]; readonly sources: readonly SourceMeta[] };
  /** Sources that Apache Beam reads. Default: none. */
  readonly beam?: readonly string[];
  /** Above which share of bad messages a job stops. Default: half of the last 1,000. */
  readonly deadLetters?: DeadLetterThresholds | undefined;
  readonly now: () => number;
}

/** Jobs that compute hot values from history, one at a time, in the background; each goes on after a kill. */
export interface Backfills {
  /** Starts a job, or goes on with the one that was asked for in the same words and did not end. */
  start(request: BackfillRequest): Promise<BackfillJob>;
  /** In the order in which they were last touched. */
  list(): Promise<readonly BackfillJob[]>;
  /** Stops a running job, which can go on later. */
  stop(id: string): Promise<BackfillJob>;
  close(): Promise<void>;
}

const KIND = "backfill";

/** What is kept of a job: also what it needs to go on. */
interface Stored extends BackfillJob {
  /** Files that were begun, by content. */
  readonly partitions: readonly string[];
  /** Per view: the key space that it filled, and the last entity that it did, as `entityKeyText` writes it. */
  readonly cursors: Readonly<Record<string, { readonly keyspace: string; readonly after: string | null }>>;
}

export function createBackfills(options: BackfillOptions): Backfills {
  const { online, offline, current, beam = [], deadLetters, now } = options;
  const running = new Map<string, { job: Stored; readonly stop: AbortController; done: Promise<void> }>();
  let last: Promise<unknown> = Promise.resolve();

  async function stored(): Promise<Stored[]> {
    const documents = await offline.documents(KIND);
    return documents.map(({ name, json }) => running.get(name)?.job ?? (JSON.parse(json) as Stored));
  }

  async function start(request: BackfillRequest): Promise<BackfillJob> {
    const { views, sources } = current();
    const source = request.source === null ? null : (sources.find(({ name }) => name === request.source) ?? null);
    if (request.source !== null && source === null) throw unknown("SOURCE_UNKNOWN", "source", request.source, sources);
    const names = views.map(({ layout }) => layout.view);
    for (const name of request.views ?? []) {
      if (!names.some((view) => view.name === name)) throw unknown("VIEW_UNKNOWN", "feature view", name, names);
    }
    const chosen = names.filter((view) => request.views?.includes(view.name)).map((view) => view.source.name);
    const beams = [...chosen, request.source].find((name) => name !== null && beam.includes(name));
    if (beams) throw ofBeam(beams);
    const own = views.filter(({ layout }) => !beam.includes(layout.view.source.name));
    const wanted = own.filter(({ layout: { view } }) =>
      request.views === null ? source === null || view.source.name === source.name : request.views.includes(view.name),
    );
    // What was loaded changes every view of the source.
    const affected = own.filter((view) => wanted.includes(view) || view.layout.view.source.name === source?.name);
    const id = idOf(request);
    const known = running.get(id);
    if (known !== undefined) return shown(known.job);
    const before = (await stored()).find((job) => job.id === id);
    const goesOn = before !== undefined && before.state !== "done";
    const job: Stored = {
      id,
      kind: request.kind,
      state: "running",
      source: request.source,
      files: request.files,
      loaded: goesOn ? before.loaded : 0,
      deadLetters: goesOn ? before.deadLetters : 0,
      views: affected.map(({ layout, keyspace }) => {
        const of = goesOn ? before.views.find((view) => view.view === layout.view.name) : undefined;
        const same = goesOn && before.cursors[layout.view.name]?.keyspace === keyspace;
        return of !== undefined && same ? of : emptyView(layout.view.name);
      }),
      startedAt: now(),
      updatedAt: now(),
      error: null,
      partitions: goesOn ? before.partitions : [],
      cursors: Object.fromEntries(
        affected.map(({ layout, keyspace }) => {
          const cursor = goesOn ? before.cursors[layout.view.name] : undefined;
          return [layout.view.name, cursor?.keyspace === keyspace ? cursor : { keyspace, after: null }];
        }),
      ),
    };
    const entry = { job, stop: new AbortController(), done: Promise.resolve() };
    running.set(id, entry);
    await offline.putDocument(KIND, id, JSON.stringify(job));
    const done = last.then(() => run(entry, affected, source));
    last = done;
    entry.done = done;
    return shown(job);
  }

  async function run(
    entry: { job: Stored; readonly stop: AbortController },
    views: readonly ViewRuntime[],
    source: SourceMeta | null,
  ): Promise<void> {
    const { signal } = entry.stop;
    const update = (changes: Partial<Stored>): void => {
      entry.job = { ...entry.job, ...changes, updatedAt: now() };
    };
    const keep = (): Promise<void> => offline.putDocument(KIND, entry.job.id, JSON.stringify(entry.job));
    try {
      if (source !== null && entry.job.files.length > 0 && !signal.aborted) {
        const begun = new Set(entry.job.partitions);
        await loadFiles({
          source,
          paths: entry.job.files,
          offline,
          begun,
          signal,
          ...(deadLetters === undefined
            ? {}
            : { deadLetterThreshold: deadLetterThresholdOf(deadLetters, source.name) }),
          async onFile(partition) {
            update({ partitions: [...new Set([...entry.job.partitions, partition])] });
            await keep();
          },
          onBatch: ({ events, deadLetters }) =>
            update({ loaded: entry.job.loaded + events, deadLetters: entry.job.deadLetters + deadLetters }),
        });
      }
      for (const [index, view] of views.entries()) {
        if (signal.aborted || entry.job.views[index]!.done) continue;
        await fill(view, index, signal, () => entry.job, update, keep);
      }
      update({ state: signal.aborted ? "stopped" : "done" });
    } catch (error) {
      update({
        state: signal.aborted ? "stopped" : "failed",
        error: signal.aborted ? null : error instanceof Error ? error.message : String(error),
      });
    }
    try {
      await keep();
    } finally {
      running.delete(entry.job.id);
    }
  }

  async function fill(
    view: ViewRuntime,
    index: number,
    signal: AbortSignal,
    job: () => Stored,
    update: (changes: Partial<Stored>) => void,
    keep: () => Promise<void>,
  ): Promise<void> {
    const { name, entity, source, keyColumns } = view.layout.view;
    const change = (changes: Partial<BackfillView>): void =>
      update({ views: job().views.map((one, at) => (at === index ? { ...one, ...changes } : one)) });
    const moveTo = (after: string | null): void =>
      update({ cursors: { ...job().cursors, [name]: { keyspace: view.keyspace, after } } });
    let total = 0;
    for await (const keys of offline.entityKeys({ source: source.name, keyColumns, after: null })) {
      total += keys.length;
      if (signal.aborted) return;
    }
    const begun = job().views[index]!;
    const { after } = job().cursors[name]!;
    change({ total });
    let clock = await readSourceClock(online, [source], now);
    await rebuild({
      view,
      online,
      offline,
      keys: null,
      after: after === null ? null : keyOf(after),
      clock: () => clock,
      signal,
      async onPage({ entities, written, unchanged }, lastKey) {
        change({
          entities: begun.entities + entities,
          written: begun.written + written,
          unchanged: begun.unchanged + unchanged,
        });
        moveTo(entityKeyText(entity.name, view.layout.keyTypes, lastKey));
        await keep();
        clock = await readSourceClock(online, [source], now);
      },
    });
    if (signal.aborted) return;
    // Nothing that names an entity is kept of a job that is done.
    moveTo(null);
    change({ done: true });
    await keep();
  }

  return {
    start,
    async list() {
      return (await stored()).map((job) => shown(job.state === "running" && !running.has(job.id) ? stopped(job) : job));
    },
    async stop(id) {
      const entry = running.get(id);
      if (entry !== undefined) {
        entry.stop.abort();
        await entry.done;
      }
      const job = (await stored()).find((one) => one.id === id);
      if (job === undefined) throw millraceError("BACKFILL_UNKNOWN", `There is no backfill '${id}'.`);
      return shown(job.state === "running" ? stopped(job) : job);
    },
    async close() {
      for (const { stop } of running.values()) stop.abort();
      await Promise.allSettled([...running.values()].map(({ done }) => done));
    },
  };
}

/** Its process was killed. */
function stopped(job: Stored): Stored {
  return { ...job, state: "stopped" };
}

function shown({ partitions: _partitions, cursors: _cursors, ...job }: Stored): BackfillJob {
  return job;
}

function emptyView(view: string): BackfillView {
  return { view, entities: 0, total: null, written: 0, unchanged: 0, done: false };
}

/** Equal for equal requests, so that asking again goes on. */
function idOf({ kind, views, source, files }: BackfillRequest): string {
  const text = JSON.stringify([kind, views === null ? null : [...views].sort(), source, files]);
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

function unknown(code: string, kind: string, name: string, known: readonly { readonly name: string }[]): Error {
  return millraceError(
    code,
    `There is no ${kind} '${name}': declared are ${known.map((one) => one.name).join(", ") || "none"}.`,
  );
}

function ofBeam(source: string): Error {
  return millraceError(
    "SOURCE_OF_BEAM",
    `Source '${source}' is read by Apache Beam (beam.sources in the configuration), whose jobs alone write its views: use millrace beam backfill.`,
  );
}
