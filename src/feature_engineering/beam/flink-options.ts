/** A Flink embedded in the process that starts the job. */
export const EMBEDDED_FLINK: readonly string[] = ["--runner=FlinkRunner", "--flinkMaster=[local]"];

export interface FlinkStream {
  /** The URL of the folder for checkpoints. */
  readonly state: string;
  /** Where the job goes on; null: it begins. */
  readonly savepoint: string | null;
  /** Milliseconds. Default 10,000. */
  readonly checkpointEvery?: number;
}

/**
 * Beam's options for a stream on Flink. Bundles are finished before a checkpoint: else what they emit is kept back until
 * the next element comes. State that a changed plan has no use for is left behind.
 */
export function flinkStreamOptions({ state, savepoint, checkpointEvery = 10_000 }: FlinkStream): readonly string[] {
  return [
    ...["--streaming=true", "--attachedMode=false", "--maxBundleSize=5000", "--stateBackend=filesystem"],
    `--checkpointingInterval=${checkpointEvery}`,
    "--finishBundleBeforeCheckpointing=true",
    ...["--externalizedCheckpointsEnabled=true", "--retainExternalizedCheckpointsOnCancellation=true"],
    `--stateBackendStoragePath=${state}`,
    ...(savepoint === null ? [] : [`--savepointPath=${savepoint}`, "--allowNonRestoredState=true"]),
  ];
}
