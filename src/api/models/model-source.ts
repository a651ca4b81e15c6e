import type { LoadedModel, ScoringTarget } from "./load-model-folder.ts";

/** One version of a model, as its source knows it. */
export interface ModelVersion {
  /** The name that people use: `"3"`. */
  readonly version: string;
  /** Changes whenever the content does: what was written anew under the same name is another version. */
  readonly id: string;
  /** A hash of the content; null while the source does not know it. */
  readonly etag: string | null;
  /** Epoch milliseconds; null if the source does not know. */
  readonly createdAt: number | null;
}

/** A version's files, in MLflow model format. */
export interface FetchedModel {
  /** Null for a model that is no file. */
  readonly folder: string | null;
  /** A hash of the content, see `folderEtag`. */
  readonly etag: string;
}

/** Where the versions of one model come from: a folder, a model registry. */
export interface ModelSource {
  /**
   * The versions that are complete, newest first. A version that is still being written is not listed.
   * @throws `MODEL_NOT_FOUND` if the place itself does not exist
   */
  list(): Promise<readonly ModelVersion[]>;
  /** A version by its name that is not listed, because another one is followed; null if there is none. */
  find?(version: string): Promise<ModelVersion | null>;
  /**
   * The version as a local folder in MLflow model format, which stays as it is while the version is listed.
   * @throws `MODEL_VERSION_CHANGED` if its content is no longer that of the version
   */
  fetch(version: ModelVersion): Promise<FetchedModel>;
  /** The version, loaded; instead of `fetch`, for models that are no files. */
  open?(version: ModelVersion): Promise<LoadedModel>;
  /**
   * Forgets what it has of a version that proved bad, so that the next `fetch` gets it anew. Sources whose ids say what
   * the content is have none: the same content would be as bad again.
   */
  discard?(version: ModelVersion): Promise<void>;
  /** Who predicts for the version, if Millrace itself does not. */
  scoring?(version: ModelVersion): { readonly scoring: ScoringTarget };
  /** The version is loaded, fits, and serves from now on. */
  serves?(version: ModelVersion): Promise<void>;
  /** The version's folder is no longer needed. */
  release?(version: ModelVersion): Promise<void>;
  /** Calls back when a list may have changed, for sources that are told; all others are polled. Returns how to stop. */
  watch?(onChange: () => void): () => void;
  close(): Promise<void>;
}
