/** A file of a model as its registry lists it. */
export interface Artifact {
  /** As it was listed: not to be trusted, see `safeArtifactPath`. */
  readonly path: string;
  /** Null if the registry does not say. */
  readonly sizeBytes: number | null;
}

/** The bytes of a file from some place on. */
export interface ArtifactBytes {
  /** Where they begin: 0 if the server cannot begin where it was asked to, or if the file is another than before. */
  readonly from: number;
  /** Of the whole file; null if the server does not say. */
  readonly totalBytes: number | null;
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** All files of one version of a model, wherever they are. */
export interface ArtifactSet {
  /** Equal for the same files of the same place, also in other processes. */
  readonly key: string;
  list(): Promise<readonly Artifact[]>;
  read(path: string, from: number): Promise<ArtifactBytes>;
}
