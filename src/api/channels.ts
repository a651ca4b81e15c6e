import type { ColumnTypeSpec, Value } from "../definitions/value.ts";
import type { ServiceProfile } from "../feature_engineering/profiles/value-profile.ts";

/** The names of the diagnostics channels of the API, and what is published on them. */

/** Published when a predict request begins: {@link PredictionStartEvent}; one {@link PredictionEvent} follows, whatever happens. */
export const PREDICTION_START_CHANNEL = "millrace:api:prediction-start";
/** Published after each predict request, failed ones too: {@link PredictionEvent}. */
export const PREDICTION_CHANNEL = "millrace:api:prediction";
/** Published when a request waits for the end of the event loop's turn: the object that names it in {@link PredictionBatchEvent}. */
export const PREDICTION_QUEUED_CHANNEL = "millrace:api:prediction-queued";
/** Published after requests of one turn were read and predicted together: {@link PredictionBatchEvent}. */
export const PREDICTION_BATCH_CHANNEL = "millrace:api:prediction-batch";
/** Published after each predict request that a model answered: {@link PredictedRowsEvent}. */
export const PREDICTED_ROWS_CHANNEL = "millrace:api:predicted-rows";
/** Published after each attempt to load a model version: {@link ModelLoadEvent}. */
export const MODEL_LOAD_CHANNEL = "millrace:api:model-load";
/** Published when the serving version of a model changed: {@link ModelSwapEvent}. */
export const MODEL_SWAP_CHANNEL = "millrace:api:model-swap";
/** Published after each look for new versions of a model: {@link ModelUpdateEvent}. */
export const MODEL_UPDATE_CHANNEL = "millrace:api:model-update";
/** Published after each webhook of a model registry: {@link ModelWebhookEvent}. */
export const MODEL_WEBHOOK_CHANNEL = "millrace:api:model-webhook";
/** Published after each batch of predictions, failed ones too: {@link BatchEvent}. */
export const BATCH_CHANNEL = "millrace:api:batch";
/** Published after each request to a scoring server, its retries included: {@link ScoringEvent}. */
export const SCORING_CHANNEL = "millrace:api:scoring";
/** Published when the circuit breaker of a scoring server changed: {@link ScoringBreakerEvent}. */
export const SCORING_BREAKER_CHANNEL = "millrace:api:scoring-breaker";
/**
 * Run around the handling of an HTTP request whose route is known and whose body was read, so that what subscribers
 * bind to it is there in all that the request causes: {@link HttpStartEvent}. One {@link HttpRequestEvent} follows.
 */
export const HTTP_START_CHANNEL = "millrace:api:http-start";
/** Published after each HTTP request: {@link HttpRequestEvent}. */
export const HTTP_REQUEST_CHANNEL = "millrace:api:http-request";

/** Published for each request that was refused because there was too much work: {@link ShedEvent}. */
export const SHED_CHANNEL = "millrace:api:shed";
/** Published when the server's certificate was taken, at the start too, or refused: {@link CertificateEvent}. */
export const CERTIFICATE_CHANNEL = "millrace:api:certificate";

export interface PredictionStartEvent {
  readonly model: string;
  readonly rows: number;
}

export interface CertificateEvent {
  /** `ok`, or what is wrong with the new one. */
  readonly outcome: string;
  /** When the one that serves ends, epoch milliseconds. */
  readonly expiresAt: number;
}

export interface ShedEvent {
  /** What the request is for: `predict`, `features` or `batch`. */
  readonly class: string;
}

export interface PredictionEvent {
  readonly model: string;
  /** The version that answered; null if none did. */
  readonly version: string | null;
  readonly rows: number;
  /** From the request's arrival in the handler to the answer, before it is sent. */
  readonly seconds: number;
  /** Of which: reading features (store round trip, windows), transforms, the model. */
  readonly stages: { readonly features: number; readonly model: number };
  /** `ok`, or the error's code. */
  readonly outcome: string;
}

export interface PredictionBatchEvent {
  /** One object per request, as it was published when it began to wait; to be compared, never read. */
  readonly requests: readonly object[];
  readonly rows: number;
  readonly seconds: number;
}

export interface PredictedRowsEvent {
  readonly model: string;
  readonly version: string;
  readonly service: string;
  /** What the model read; one and the same list for one version that is loaded, as are `outputs` and `profile`. */
  readonly columns: readonly { readonly name: string; readonly type: ColumnTypeSpec }[];
  readonly outputs: readonly { readonly name: string; readonly type: ColumnTypeSpec }[];
  /** Of the version's training set; null if its `millrace.json` has none. */
  readonly profile: ServiceProfile | null;
  readonly rows: number;
  readonly feature: (row: number, column: number) => Value;
  readonly answer: (row: number, output: number) => Value;
}

export interface BatchEvent {
  readonly model: string;
  /** Of the body; `unknown` if it has none that is read. */
  readonly format: string;
  /** Rows that were answered, of which `failed` with an error in place. */
  readonly rows: number;
  readonly failed: number;
  readonly seconds: number;
  /** `ok`, or the code of the error that ended it. */
  readonly outcome: string;
}

export interface ModelLoadEvent {
  readonly model: string;
  readonly version: string;
  readonly seconds: number;
  /** `ok`, or the error's code. */
  readonly outcome: string;
  readonly sizeBytes: number | null;
}

export interface ModelSwapEvent {
  readonly model: string;
  readonly version: string;
  readonly previous: string | null;
}

export interface ModelUpdateEvent {
  readonly model: string;
  /** What failed in this look; with an empty version if the versions could not be listed. `reason` is the error's code. */
  readonly failures: readonly { readonly version: string; readonly reason: string }[];
  /** A version that should serve cannot be loaded, or the versions cannot be listed. */
  readonly isFailing: boolean;
}

export interface ModelWebhookEvent {
  readonly outcome: "taken" | "repeated" | "ignored" | "refused";
}

export interface ScoringEvent {
  /** Its name in the configuration. */
  readonly server: string;
  /** `ok`, or the error's code. */
  readonly outcome: string;
  readonly seconds: number;
  readonly retries: number;
}

export interface ScoringBreakerEvent {
  readonly server: string;
  readonly state: "closed" | "open" | "half_open";
}

export interface HttpStartEvent {
  /** The same object as in the {@link HttpRequestEvent} that follows; to be compared, never read. */
  readonly request: object;
  readonly method: string;
  /** The route's pattern, never the path as it was sent. */
  readonly route: string;
  /** The W3C headers `traceparent` and `tracestate`, as they were sent. */
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  /** Since the request arrived. */
  readonly seconds: number;
}

export interface HttpRequestEvent {
  /** Names the request; to be compared, never read. */
  readonly request?: object;
  readonly method: string;
  /** The route's pattern, never the path as it was sent. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}
