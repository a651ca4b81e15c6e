export { isMillraceError, MillraceError } from "../definitions/errors.ts";
export {
  type FeatureRow,
  type FeatureStatus,
  type MillraceClient,
  type MillraceClientOptions,
  millraceClient,
  type Prediction,
  type ReadOptions,
} from "./millrace-client.ts";
export type { CallOptions } from "./send.ts";
