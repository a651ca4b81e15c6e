import { millraceError } from "../definitions/errors.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";

/**
 * One of the jobs that write a source's views, as the registry keeps it. Generations cover disjoint events, so that their
 * tiles add up; a job that is run again under its number and with its bounds adds nothing twice.
 */
export interface BeamGeneration {
  readonly generation: number;
  readonly kind: "backfill" | "stream";
  /** Events whose moment is at or after it; null: from the beginning. Epoch milliseconds. */
  readonly from: number | null;
  /** Events whose moment is before it; null: without end. */
  readonly until: number | null;
  readonly state: "running" | "done" | "stopped";
  /** Where it goes on. */
  readonly savepoint: string | null;
  /**
   * Of a stream whose checkpoints this machine sees: whether there ever was one. As long as there was none, a job that
   * dies has nothing to go on from, and begins again where it began.
   */
  readonly checkpointed?: boolean;
  /** Of a backfill: what names its files' contents, see `BeamFile.partition`. */
  readonly files?: readonly string[];
}

const KIND = "beam";

/** The generations of a source, in their order. */
export async function readGenerations(store: OfflineStore, source: string): Promise<readonly BeamGeneration[]> {
  const found = (await store.documents(KIND)).find((document) => document.name === source);
  return found === undefined ? [] : (JSON.parse(found.json) as readonly BeamGeneration[]);
}

/** Records one, in the place of what was known under its number. */
export async function writeGeneration(store: OfflineStore, source: string, one: BeamGeneration): Promise<void> {
  const others = (await readGenerations(store, source)).filter((known) => known.generation !== one.generation);
  const all = [...others, one].sort((a, b) => a.generation - b.generation);
  await store.putDocument(KIND, source, JSON.stringify(all));
}

/**
 * The generation of a job: that which covers the same events if there is one, else the next. A backfill that is run again
 * reads at least the files of before: within a generation the larger count of a tile wins, so that parts would not add up.
 * @throws `BEAM_GENERATIONS_OVERLAP` if another covers some of its events, `BEAM_FILES_CHANGED` if files are missing
 */
export function generationFor(
  known: readonly BeamGeneration[],
  source: string,
  wanted: Pick<BeamGeneration, "kind" | "from" | "until" | "files">,
): BeamGeneration {
  const same = known.find((one) => one.kind === wanted.kind && one.from === wanted.from && one.until === wanted.until);
  if (same !== undefined) {
    const missing = (same.files ?? []).filter((file) => wanted.files?.includes(file) === false).length;
    if (missing === 0) return wanted.files === undefined ? same : { ...same, files: wanted.files };
    throw millraceError(
      "BEAM_FILES_CHANGED",
      `Generation ${same.generation} of source '${source}' (${span(same)}) was made of ${same.files!.length} files, and ${missing} of them are missing or changed: what is added to a generation does not add up. Name all files of the span at once, the earlier ones unchanged, or give other files a span of their own by --from and --until.`,
    );
  }
  const start = (one: Pick<BeamGeneration, "from">): number => one.from ?? Number.NEGATIVE_INFINITY;
  const end = (one: Pick<BeamGeneration, "until">): number => one.until ?? Number.POSITIVE_INFINITY;
  const overlap = known.find((one) => start(one) < end(wanted) && start(wanted) < end(one));
  if (overlap !== undefined) {
    throw millraceError(
      "BEAM_GENERATIONS_OVERLAP",
      `Generation ${overlap.generation} of source '${source}' (${overlap.kind}, ${span(overlap)}) holds events of ${span(wanted)} already, which would count twice: backfill up to a moment, and stream from that moment on.`,
    );
  }
  const generation = 1 + Math.max(0, ...known.map((one) => one.generation));
  return { ...wanted, generation, state: "running", savepoint: null };
}

function span({ from, until }: Pick<BeamGeneration, "from" | "until">): string {
  const text = (time: number | null): string => (time === null ? "…" : new Date(time).toISOString());
  return `from ${text(from)} to before ${text(until)}`;
}
