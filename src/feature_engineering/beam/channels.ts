/** The name of the diagnostics channel of Beam's launcher, and what is published on it. */

/** Published about twice a second while a job of Apache Beam runs, and at its end: {@link BeamProgressEvent}. */
export const BEAM_PROGRESS_CHANNEL = "millrace:beam:progress";

export interface BeamProgressEvent {
  readonly source: string;
  readonly running: boolean;
  /** Since the job was started: `events`, `dead_letters`, `duplicates`, `tiles`, `writes` and so on. */
  readonly counters: Readonly<Record<string, number>>;
  /** The largest event time that was written; epoch milliseconds, null: not known. */
  readonly newestEventTime: number | null;
  /** Up to where the workers take the arrivals to be complete, less the source's lateness; epoch milliseconds, null: not known. */
  readonly watermark: number | null;
  /** Messages that are not read yet; null: not known. */
  readonly backlog: number | null;
  /** When the newest checkpoint or savepoint was taken; epoch milliseconds, null: not known. */
  readonly checkpointAt: number | null;
}
