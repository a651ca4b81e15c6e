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
 * The generation of a job: that which covers the same events if there is one, else the next.
 * @throws `BEAM_GENERATIONS_OVERLAP` if another covers some of its events
 */
export function generationFor(
  known: readonly BeamGeneration[],
  source: string,
  wanted: Pick<BeamGeneration, "kind" | "from" | "until">,
): BeamGeneration {
  const same = known.find((one) => one.kind === wanted.kind && one.from === wanted.from && one.until === wanted.until);
  if (same !== undefined) return same;
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
