import type { MlflowModelLocation } from "../../definitions/model.ts";
import type { ArtifactSet } from "./artifact-set.ts";
import type { HttpAuth, HttpTls } from "./http-origin.ts";

/** Where an MLflow is. Plain data; its secrets never reach logs, errors or URLs. */
export interface MlflowOptions {
  /**
   * `https://mlflow.example`, with a path prefix if it has one; or the folder of a file store, as `file:///…/mlruns` or
   * an absolute path, which needs no server.
   */
  readonly url: string;
  readonly auth?: HttpAuth;
  readonly tls?: HttpTls;
  /** Until an answer's headers, and between two parts of its body; milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
  /** How often a request that failed for the moment is sent again. Default 3. */
  readonly retries?: number;
  /** What the server signs its webhooks with. Default: its webhooks are refused. */
  readonly webhookSecret?: string;
}

/** A version of a registered model, as the registry knows it. */
export interface RegisteredVersion {
  readonly version: string;
  /** Changes when the version was deleted and another made under its number. */
  readonly id: string;
  /** Epoch milliseconds; null if it is not known. */
  readonly createdAt: number | null;
  artifacts(): Promise<ArtifactSet>;
}

/** The registered models of one MLflow, behind a server or not. */
export interface MlflowRegistry {
  /** Its address. */
  readonly url: string;
  /**
   * The versions that may serve, newest first; of an alias or a fixed version the one.
   * @throws `MODEL_NOT_FOUND`, `MODEL_SERVER_UNAVAILABLE`, `MODEL_SERVER_DENIED`
   */
  versions(name: string, follow: MlflowModelLocation["follow"]): Promise<readonly RegisteredVersion[]>;
  close(): void;
}

/** So many of the newest are looked at where no alias and no version is named. */
export const MAX_REGISTERED_VERSIONS = 20;
