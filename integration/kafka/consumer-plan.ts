import type { FaultStores } from "./fault-stores.ts";

/** What a consumer process of the fault tests does. */
export interface ConsumerPlan {
  readonly topic: string;
  readonly brokers: readonly string[];
  readonly groupProtocol: "classic" | "consumer";
  readonly stores: FaultStores;
  /** Where it kills itself, and how often it passes there before. */
  readonly die: { readonly point: string; readonly after: number } | null;
  /** False: what was committed and not folded is not read again. */
  readonly recovery: boolean;
  /** More options of the pipeline. */
  readonly more: object;
}
