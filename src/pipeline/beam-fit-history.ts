import { millraceError } from "../definitions/errors.ts";
import type { FeatureServiceMeta } from "../definitions/feature-service.ts";
import type { FeatureViewMeta } from "../definitions/feature-view.ts";
import type { SourceMeta } from "../definitions/source.ts";
import { type BeamFiles, beamFiles } from "./beam-files.ts";

/** Where history is looked for that no file is named of. */
export interface FitHistoryPlaces {
  /** Writes a source's events of the cold store to files; null if it has none. Default: there is no such store. */
  readonly log?: (source: SourceMeta, views: readonly FeatureViewMeta[]) => Promise<BeamFiles | null>;
  /** The folder of `beam.parquet`. */
  readonly parquet?: string | undefined;
  readonly cache: string;
}

/**
 * Finds the files with the history of every source that a service reads: those given as `source=path` (or as a path,
 * where there is one source), else what the cold store has of it, else the files that the source itself names, else the raw
 * events that Beam's jobs keep as Parquet in a folder. `cache` is for what lies in S3.
 * @throws `BEAM_HISTORY_MISSING`, `OPTION_INVALID`; what `beamFiles` throws
 */
export async function beamFitHistory(
  { name, views }: FeatureServiceMeta,
  given: readonly string[] = [],
  { log = async () => null, parquet, cache }: FitHistoryPlaces,
): Promise<ReadonlyMap<string, BeamFiles>> {
  const sources = [...new Map(views.map(({ source }) => [source.name, source])).values()];
  const patterns = new Map<string, string[]>();
  for (const text of given) {
    const [source, path] = placeOf(text, sources, name);
    patterns.set(source.name, [...(patterns.get(source.name) ?? []), path]);
  }
  const found = new Map<string, BeamFiles>();
  for (const source of sources) {
    const reading = views.filter((view) => view.source.name === source.name);
    const logged = patterns.has(source.name) ? null : await log(source, reading);
    if (logged !== null) {
      found.set(source.name, logged);
      continue;
    }
    const own = patterns.get(source.name) ?? (namesFiles(source) ? undefined : keptOf(source, parquet));
    if (own === null) {
      throw millraceError(
        "BEAM_HISTORY_MISSING",
        `Service '${name}' reads ${reading.map((view) => view.name).join(", ")} of source '${source.name}', which comes by ${source.connector.connector} and names no files, and the cold store has nothing of it: say where its history lies, --files '${source.name}=export/*.jsonl'.`,
        { details: { source: source.name } },
      );
    }
    found.set(source.name, await beamFiles(source, own, cache));
  }
  return found;
}

function placeOf(text: string, sources: readonly SourceMeta[], service: string): readonly [SourceMeta, string] {
  const at = text.indexOf("=");
  const named = at < 0 ? undefined : sources.find(({ name }) => name === text.slice(0, at));
  if (named !== undefined) return [named, text.slice(at + 1)];
  const [only, more] = sources;
  if (only !== undefined && more === undefined) return [only, text];
  throw millraceError(
    "OPTION_INVALID",
    `--files ${text} must say whose history it is, as source=path: service '${service}' reads ${sources.map(({ name }) => name).join(", ")}.`,
  );
}

function namesFiles({ connector }: SourceMeta): boolean {
  return connector.connector === "file_replay" || connector.connector === "table_files";
}

function keptOf(source: SourceMeta, parquet: string | undefined): readonly string[] | null {
  return parquet === undefined ? null : [`${parquet.replace(/\/$/, "")}/${source.name}/*/*.parquet`];
}
