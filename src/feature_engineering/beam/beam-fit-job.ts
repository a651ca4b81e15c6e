import type { BeamFile, BeamJob } from "./beam-job.ts";

/** The job file of a job that fits a service: it reads files, and writes one. */
export interface BeamFitJob extends Pick<BeamJob, "id" | "engine" | "script" | "plan" | "settings"> {
  /** In the order of `settings.sources`, and behind them the training frame, see `fit-frame.ts`. */
  readonly sources: readonly { readonly files: readonly BeamFile[] }[];
  readonly fit: {
    /** The file that is written: lines of JSON, see `FitLine`. */
    readonly result: string;
    /** How many bytes of one entity, or of one chunk of rows, a worker takes at once. */
    readonly most_bytes: number;
  };
}
