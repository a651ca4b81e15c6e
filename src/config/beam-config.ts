import { millraceError } from "../definitions/errors.ts";

/** Which sources Apache Beam reads, and how its jobs run. */
export interface BeamConfig {
  /** Beam computes all views of these sources; the embedded engine leaves them alone. */
  readonly sources: readonly string[];
  /** Beam's own options. Default: an embedded Flink, `--runner=FlinkRunner --flinkMaster=[local]`. */
  readonly options?: readonly string[];
  /** A folder, or a URL of a file system of Flink, for checkpoints and savepoints. Default `beam` in the data folder. */
  readonly state?: string;
  /** A folder, or a URL of a file system of Beam's, where raw events are kept as Parquet too, by source and day. */
  readonly parquet?: string;
  /** The JavaScript engine in the workers. Default `v8`. */
  readonly engine?: "v8" | "graal";
  /** The memory of the JVM that this machine starts, in MiB. Default 2048. */
  readonly heapMegabytes?: number;
}

export const BEAM_NAMES: readonly string[] = ["sources", "options", "state", "parquet", "engine", "heapMegabytes"];

/** Checks the configuration. @throws `CONFIG_INVALID` */
export function resolveBeam(given: BeamConfig | undefined): BeamConfig {
  const beam = given ?? { sources: [] };
  const isTexts = (list: unknown): boolean => Array.isArray(list) && list.every((item) => typeof item === "string");
  if (!isTexts(beam.sources)) throw invalid("beam.sources", "a list of sources' names");
  if (beam.options !== undefined && !isTexts(beam.options)) throw invalid("beam.options", "a list of texts");
  if (beam.state !== undefined && typeof beam.state !== "string") throw invalid("beam.state", "a folder or a URL");
  if (beam.parquet !== undefined && typeof beam.parquet !== "string")
    throw invalid("beam.parquet", "a folder or a URL");
  if (beam.engine !== undefined && beam.engine !== "v8" && beam.engine !== "graal") {
    throw invalid("beam.engine", '"v8" or "graal"');
  }
  const { heapMegabytes } = beam;
  if (heapMegabytes !== undefined && !(Number.isInteger(heapMegabytes) && heapMegabytes >= 256)) {
    throw invalid("beam.heapMegabytes", "a whole number from 256");
  }
  return beam;
}

function invalid(name: string, expected: string): Error {
  return millraceError("CONFIG_INVALID", `${name} must be ${expected}.`, { details: { name } });
}
