import type { FeatureStatus } from "../feature_engineering/windows/read-features.ts";
import type { OutcomeReport } from "./outcomes/outcome-report.ts";

/** The names of the diagnostics channels of the feature store, and what is published on them. */

/** Published after each online read: {@link OnlineReadEvent}. */
export const ONLINE_READ_CHANNEL = "millrace:feature-store:online-read";

/** Published after each background check of logged predictions: {@link SkewEvent}. */
export const SKEW_CHANNEL = "millrace:feature-store:skew";

/** Published after each look at the outcomes of predictions: {@link OutcomeEvent}. */
export const OUTCOME_CHANNEL = "millrace:feature-store:outcome";

export type OutcomeEvent = OutcomeReport;

export interface SkewEvent {
  readonly service: string;
  /** Logged rows that were computed again: all values equal, some different, or not to be told. */
  readonly equal: number;
  readonly different: number;
  readonly unknown: number;
  /** The first few values that differ, without keys. */
  readonly examples: readonly {
    readonly model: string;
    readonly view: string;
    readonly feature: string;
    readonly served: string;
    readonly history: string;
  }[];
}

export interface OnlineReadEvent {
  readonly service: string;
  readonly rows: number;
  /** Values found and unexpired in the hot store, over all views and rows. */
  readonly hits: number;
  readonly misses: number;
  /** Values that the hot store did not give in time, so that features are `UNAVAILABLE`. */
  readonly unavailable: number;
  /** Values answered from this process's memory; they are neither hits nor misses of the store. */
  readonly cacheHits: number;
  /** Values of views with such a cache that were not in it. */
  readonly cacheMisses: number;
  /** How long ago the oldest of the cached values was read from the store. */
  readonly cacheAgeSeconds: number;
  readonly headOverlaps: number;
  readonly seconds: number;
  /** Per input the view that it is read from, null for a request column; one and the same list for one service. */
  readonly inputViews: readonly (string | null)[];
  /** Per row, one status per input. */
  readonly statuses: () => readonly (readonly FeatureStatus[])[];
}
