import type { DriftVerdict } from "../feature_engineering/profiles/drift-verdict.ts";
import type { SkewEvent } from "../feature_store/channels.ts";

/** Metrics as a scrape gets them. */
export interface RenderedMetrics {
  /** Of the text format 0.0.4 or of OpenMetrics 1.0.0. */
  readonly contentType: string;
  readonly body: string;
}

/** What the API asks of monitoring: the answer to `GET /metrics`. */
export interface MetricsReader {
  /** `accept` is the request's header, or empty; it chooses between the text format and OpenMetrics. */
  render(accept: string): Promise<RenderedMetrics>;
}

/** How the last values of one column compare with its profile. */
export interface QualityColumnReport {
  readonly name: string;
  /** Where the profile is from: the training set, or the first rows that were served; null while those are collected. */
  readonly baseline: "training_set" | "first_rows" | null;
  readonly verdict: DriftVerdict | null;
  readonly drifted: boolean;
  /** Epoch milliseconds; null while it is not. */
  readonly driftedSince: number | null;
}

/** Logged predictions that were computed again; the examples are the last values that differed, newest first. */
export type SkewReport = Omit<SkewEvent, "service">;

export interface QualityReport {
  /** The model whose rows are looked at; null if none was served. */
  readonly model: string | null;
  /** Rows that were sampled. */
  readonly rows: number;
  readonly features: readonly QualityColumnReport[];
  readonly skew: SkewReport;
  readonly predictions: readonly {
    readonly model: string;
    readonly version: string;
    readonly rows: number;
    readonly outputs: readonly QualityColumnReport[];
  }[];
}

/** What the API asks of monitoring: the answer to `GET /v1/quality/{service}`. */
export interface QualityReader {
  quality(service: string): QualityReport;
}
