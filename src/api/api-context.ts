import type { FastifyRequest } from "fastify";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import type { FeatureStore } from "../feature_store/feature-store.ts";
import type { PlanPreview } from "../feature_store/registry/registry.ts";
import type { QualityReader } from "../monitoring/read-side.ts";
import type { ApiBackend } from "./backend.ts";
import type { BatchLimits } from "./batch/batch-limits.ts";
import type { ModelHost } from "./models/model-host.ts";

/**
 * What the routes answer from. Features, models and declarations are replaced while the server runs, when changed
 * declarations are taken over: routes read them at each request.
 */
export interface ApiContext {
  readonly features: FeatureStore;
  readonly models: ModelHost;
  /** The write side. */
  readonly backend: ApiBackend;
  readonly declarations: Declarations;
  /**
   * Reads the declarations' files again and takes them over, whole or not at all. With a hash, only if their plan has it.
   * @throws `DECLARATIONS_INVALID`, `PLAN_BREAKING`, `PLAN_DIFFERS`
   */
  readonly takeOver: (hash: string | null) => Promise<PlanPreview>;
  readonly readiness: () => { readonly ready: boolean; readonly reasons: readonly string[] };
  /** Renders the metrics in the best of the formats that the `Accept` header names. */
  readonly metrics: (accept: string) => Promise<{ readonly contentType: string; readonly body: string }>;
  /** What this process has seen of a service. */
  readonly quality: QualityReader["quality"];
  /** The model that `/invocations` means; null or absent: the only one. */
  readonly defaultModel?: string | null;
  readonly limits: {
    readonly bodyLimitBytes: number;
    /** Of one request. */
    readonly maxRows: number;
    /** Of batches of predictions. Default: `DEFAULT_BATCH_LIMITS`. */
    readonly batch?: BatchLimits;
  };
  /** What MLflow servers sign their webhooks with, by the server's name. Default: none, webhooks are refused. */
  readonly webhookSecrets?: Readonly<Record<string, string>>;
  /** Millrace's own. */
  readonly version: string;
}

/** A hook of routes that change how the server runs: rejects with `UNAUTHORIZED` or `ADMIN_DISABLED`. */
export type AdminGuard = (request: FastifyRequest) => Promise<void>;
