import { channel } from "node:diagnostics_channel";
import { isMillraceError } from "../definitions/errors.ts";
import type { OutcomeMeta } from "../definitions/outcome.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import { OUTCOME_CHANNEL } from "../feature_store/channels.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../feature_store/online/online-store.ts";
import { followOutcome, type OutcomeFollower } from "../feature_store/outcomes/outcome-follower.ts";
import type { OutcomeReport } from "../feature_store/outcomes/outcome-report.ts";
import { compileOutcome } from "../feature_store/outcomes/outcome-runtime.ts";
import { readSourceClock } from "../feature_store/source-clock.ts";

/** Follows what becomes of predictions, in the pipeline's thread, and publishes it. */
export interface OutcomeWatch {
  /** Looks now, at all outcomes or at those of one service's models. */
  outcomes(service: string | null): Promise<readonly OutcomeReport[]>;
  /** Looks by itself from now on. */
  start(): void;
  close(): Promise<void>;
}

export interface OutcomeWatchOptions {
  readonly online: Pick<OnlineStore, "readMeta">;
  readonly offline: OfflineStore;
  readonly declarations: () => Declarations;
  /** Between looks; 0: only when asked. */
  readonly everyMs: number;
  readonly onFunctionFailure: (where: string) => void;
  readonly onFailure: (error: unknown) => void;
  /** Wall clock, epoch milliseconds. */
  readonly now: () => number;
}

export function createOutcomeWatch(options: OutcomeWatchOptions): OutcomeWatch {
  const { online, offline, everyMs, onFunctionFailure, onFailure, now } = options;
  const published = channel(OUTCOME_CHANNEL);
  /** Of the present declarations. */
  let followers = new Map<OutcomeMeta, OutcomeFollower>();
  let work: Promise<unknown> = Promise.resolve();
  let timer: NodeJS.Timeout | null = null;
  let isClosed = false;

  function current(): readonly OutcomeMeta[] {
    const { outcomes = [] } = options.declarations();
    followers = new Map(outcomes.map((meta) => [meta, followers.get(meta) ?? followerOf(meta)]));
    return outcomes;
  }

  function followerOf(meta: OutcomeMeta): OutcomeFollower {
    return followOutcome({
      runtime: compileOutcome(meta, () => onFunctionFailure(`outcome '${meta.name}'`)),
      offline,
      clock: () => readSourceClock(online, [meta.source], now),
      now,
    });
  }

  async function look(service: string | null): Promise<readonly OutcomeReport[]> {
    const reports: OutcomeReport[] = [];
    for (const meta of current()) {
      if (isClosed || (service !== null && meta.model.service.name !== service)) continue;
      const report = await followers.get(meta)!.look();
      published.publish(report);
      reports.push(report);
    }
    return reports;
  }

  /** One look at a time: two of them would read the same. */
  function outcomes(service: string | null): Promise<readonly OutcomeReport[]> {
    const done = work.then(() => look(service));
    work = done.catch(() => {});
    return done;
  }

  function again(): void {
    if (isClosed || everyMs === 0) return;
    timer = setTimeout(() => {
      outcomes(null)
        .catch((error: unknown) => {
          // Of a source that is not prepared yet there is nothing to read.
          if (!isMillraceError(error) || error.code !== "SOURCE_UNKNOWN") onFailure(error);
        })
        .finally(again);
    }, everyMs).unref();
  }

  return {
    outcomes,
    start: again,
    async close() {
      isClosed = true;
      if (timer !== null) clearTimeout(timer);
      await work;
    },
  };
}
