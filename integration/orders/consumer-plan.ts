import type { ConnectionsConfig } from "../../src/config/connections.ts";
import type { OrderStream } from "./declarations.ts";
import type { FaultStores } from "./fault-stores.ts";

/** What a consumer process of the fault tests does. */
export interface ConsumerPlan {
  readonly stream: OrderStream;
  readonly connections: ConnectionsConfig;
  readonly stores: FaultStores;
  /** Where it kills itself, and how often it passes there before. */
  readonly die: { readonly point: string; readonly after: number } | null;
  /** False: what was committed and not folded is not read again. */
  readonly recovery: boolean;
  /** More options of the pipeline. */
  readonly more: object;
}
