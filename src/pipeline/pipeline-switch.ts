import { millraceError } from "../definitions/errors.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import { viewVersion } from "../feature_engineering/plan/plan-hash.ts";
import { beginsAtMoment } from "./catch-up.ts";
import type { Pipeline } from "./pipeline.ts";
import { sourceTable } from "./source-pipeline.ts";

export interface PipelineSwitchOptions {
  readonly declarations: Declarations;
  /** Makes a pipeline over the stores, which stay open. */
  readonly make: (declarations: Declarations) => Pipeline;
  readonly start: (pipeline: Pipeline) => Promise<void>;
  /** Records that the declarations are taken over: the last step that may refuse them. */
  readonly record: (declarations: Declarations) => Promise<void>;
  /** Whether sources are read here. */
  readonly reads: boolean;
}

/** One pipeline at a time, which that of changed declarations can follow while events go on coming. */
export interface PipelineSwitch {
  readonly declarations: Declarations;
  readonly pipeline: Pipeline;
  /** Waits while pipelines change, then uses the one that runs; the next change waits for it. */
  use<T>(work: (pipeline: Pipeline) => Promise<T>): Promise<T>;
  /**
   * Fills from history what is new in the declarations, and reads new sources that begin at a moment until they have
   * caught up, while the pipeline that runs goes on. Rejects with `STOPPING` when `signal` aborts.
   */
  prepare(declarations: Declarations, signal: AbortSignal): Promise<void>;
  /** Drains the pipeline, and starts that of the declarations. If it cannot start, the old one goes on. */
  change(declarations: Declarations): Promise<void>;
  close(): Promise<void>;
}

/** What comes while pipelines change waits; more than this is refused. */
const MAX_WAITING = 1_000;

export function createPipelineSwitch(options: PipelineSwitchOptions): PipelineSwitch {
  let current = { declarations: options.declarations, pipeline: options.make(options.declarations) };
  let changing: Promise<unknown> | null = null;
  let waiting = 0;
  let used = 0;
  let unused: (() => void) | null = null;

  async function use<T>(work: (pipeline: Pipeline) => Promise<T>): Promise<T> {
    if (changing !== null) await turn();
    used++;
    try {
      return await work(current.pipeline);
    } finally {
      if (--used === 0) unused?.();
    }
  }

  async function turn(): Promise<void> {
    if (waiting >= MAX_WAITING) {
      throw millraceError("BACK_PRESSURE", "Changed declarations are being taken over: send this again in a moment.", {
        kind: "operational",
        details: { retry_after_seconds: 1 },
      });
    }
    waiting++;
    while (changing !== null) await changing;
    waiting--;
  }

  async function replace(declarations: Declarations): Promise<void> {
    if (used > 0) await new Promise<void>((resolve) => (unused = resolve));
    unused = null;
    const before = current;
    await before.pipeline.drain();
    const next = options.make(declarations);
    try {
      await next.recover();
      await options.record(declarations);
      await options.start(next);
      current = { declarations, pipeline: next };
    } catch (error) {
      await next.close().catch(() => {});
      // A pipeline runs once.
      const again = options.make(before.declarations);
      await again.recover();
      await options.start(again);
      current = { ...before, pipeline: again };
      throw error;
    }
  }

  async function catchUp(declarations: Declarations, signal: AbortSignal): Promise<void> {
    const known = new Set(current.declarations.sources.map(({ name }) => name));
    const sources = declarations.sources.filter((source) => beginsAtMoment(source) && !known.has(source.name));
    if (sources.length === 0) return;
    const names = new Set(sources.map(({ name }) => name));
    const views = declarations.views.filter(({ source }) => names.has(source.name));
    const reader = options.make({ ...declarations, sources, views });
    try {
      await reader.recover();
      await options.start(reader);
      if (!(await reader.caughtUp(signal))) {
        throw millraceError("STOPPING", "The process is stopping: nothing was taken over.", { kind: "operational" });
      }
    } finally {
      await reader.drain();
    }
  }

  return {
    get declarations() {
      return current.declarations;
    },
    get pipeline() {
      return current.pipeline;
    },
    use,
    async prepare(declarations, signal) {
      if (options.reads) await catchUp(declarations, signal);
      const filler = options.make(declarations);
      const versions = newVersions(current.declarations, declarations);
      if (versions.size === 0) return;
      await filler.fill(versions);
      // What came during the first pass: so that little is left when the pipelines change.
      await filler.fill(versions);
    },
    async change(declarations) {
      const done = replace(declarations);
      const settled = done.catch(() => {});
      changing = settled;
      try {
        await done;
      } finally {
        changing = null;
      }
    },
    close: () => current.pipeline.drain(),
  };
}

/** The view versions that only `after` has, of sources whose tables are the same in both. */
function newVersions(before: Declarations, after: Declarations): ReadonlySet<string> {
  const tables = new Map(before.sources.map((source) => [source.name, JSON.stringify(sourceTable(source, []))]));
  const known = new Set(before.views.map(viewVersion));
  return new Set(
    after.views
      .filter(({ source }) => tables.get(source.name) === JSON.stringify(sourceTable(source, [])))
      .map((view) => viewVersion(view))
      .filter((version) => !known.has(version)),
  );
}
