import { channel } from "node:diagnostics_channel";
import type { ResolvedQuality } from "../config/quality-config.ts";
import type { ModelMeta } from "../definitions/model.ts";
import { SKEW_CHANNEL, type SkewEvent } from "../feature_store/channels.ts";
import type { PredictionReport } from "../feature_store/check-predictions.ts";
import type { PredictionFilter } from "../feature_store/offline/offline-store.ts";

export interface SkewChecks {
  /** Looks once, now; what another look is under way for is not done again. */
  look(): Promise<void>;
  close(): void;
}

export interface SkewCheckOptions {
  readonly check: (filter: PredictionFilter) => Promise<PredictionReport>;
  /** Whose predictions are logged; with none there is nothing to look for, null if only the log tells. */
  readonly services: () => readonly string[] | null;
  readonly onFailure: (error: unknown) => void;
  /** Between looks. Default five minutes; 0: only `look` looks. */
  readonly intervalMs?: number;
  /** Rows of one look at most. Default 200. */
  readonly rows?: number;
  /** After this long a look ends, whatever it has seen. Default two seconds. */
  readonly budgetMs?: number;
  /** Epoch milliseconds. */
  readonly now?: () => number;
}

/** Rows that the cold store is asked for at a time: between them others have their turn. */
const PAGE = 20;

/**
 * Computes the newest logged predictions again, now and then, and publishes how many were right. Only what came since
 * the last look is looked at, so that no row counts twice and no history has expired; of more than `rows` the newest.
 */
export function startSkewChecks(options: SkewCheckOptions): SkewChecks {
  const { check, onFailure, intervalMs = 300_000, rows = 200, budgetMs = 2_000, now = Date.now } = options;
  const published = channel(SKEW_CHANNEL);
  let since = now();
  let looking: Promise<void> | null = null;
  let isClosed = false;

  async function lookOnce(): Promise<void> {
    const began = now();
    const from = since;
    since = began;
    let beforeId: number | null = null;
    for (let seen = 0; seen < rows && now() - began < budgetMs && !isClosed; ) {
      const limit = Math.min(PAGE, rows - seen);
      const report: PredictionReport = await check({ from, limit, ...(beforeId === null ? {} : { beforeId }) });
      const found = report.predictions + report.skipped;
      for (const { service, equal, different, unknown } of report.services) {
        const examples = report.examples.filter((one) => one.service === service);
        published.publish({ service, equal, different, unknown, examples } satisfies SkewEvent);
      }
      if (found < limit) return;
      seen += found;
      beforeId = report.oldestId;
    }
  }

  const look = (): Promise<void> => {
    if (isClosed || options.services()?.length === 0) return Promise.resolve();
    looking ??= lookOnce()
      .catch(onFailure)
      .finally(() => {
        looking = null;
      });
    return looking;
  };
  // So that a rate over the first look has where to begin.
  for (const service of options.services() ?? []) {
    published.publish({ service, equal: 0, different: 0, unknown: 0, examples: [] } satisfies SkewEvent);
  }
  const timer = intervalMs > 0 ? setInterval(() => void look(), intervalMs) : null;
  timer?.unref();
  return {
    look,
    close() {
      isClosed = true;
      if (timer !== null) clearInterval(timer);
    },
  };
}

/** What the configuration says of the checks. */
export function skewLimits(quality: ResolvedQuality): Pick<SkewCheckOptions, "intervalMs" | "rows" | "budgetMs"> {
  return { intervalMs: quality.skewSeconds * 1_000, rows: quality.skewRows, budgetMs: quality.skewBudgetMs };
}

/** The services of models that log predictions. */
export function loggedServices(models: readonly ModelMeta[]): readonly string[] {
  const logging = models.filter(({ logSampleRate }) => logSampleRate > 0);
  return [...new Set(logging.map(({ service }) => service.name))];
}
