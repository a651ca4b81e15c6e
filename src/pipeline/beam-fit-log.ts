import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { FeatureViewMeta } from "../definitions/feature-view.ts";
import type { SourceMeta } from "../definitions/source.ts";
import type { BeamFile } from "../feature_engineering/beam/beam-job.ts";
import { writeLoggedLine } from "../feature_engineering/beam/script/logged-line.ts";
import type { LoggedEvent } from "../feature_engineering/engine/event-log.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import { createViewRuntime } from "../feature_store/view-runtime.ts";
import type { BeamFiles } from "./beam-files.ts";
import { sourceTable } from "./source-pipeline.ts";

export interface FitLogOptions {
  readonly source: SourceMeta;
  /** The service's views of the source. */
  readonly views: readonly FeatureViewMeta[];
  readonly store: OfflineStore;
  /** The frame's least and greatest t, epoch milliseconds. */
  readonly first: number;
  readonly last: number;
  /** Where the files are written. */
  readonly folder: string;
  /** Default 200,000. */
  readonly fileEvents?: number;
}

/** A worker reads one file at a time. */
const FILE_EVENTS = 200_000;
/** Before all events: JavaScript's oldest moment. */
const OLDEST = -8_640_000_000_000_000;

/**
 * Writes the events of the cold store that the rows of a frame may see to files for workers; null if it has no partition
 * of the source.
 * @throws `HISTORY_DROPPED` as a training set does; what the store throws
 */
export async function beamFitLog(options: FitLogOptions): Promise<BeamFiles | null> {
  const { source, views, store, first, last, folder, fileEvents = FILE_EVENTS } = options;
  const partitions = await store.partitions(source.name);
  if (partitions.length === 0) return null;
  await store.prepareSource(sourceTable(source, views));
  const reach = Math.max(...views.map((view) => createViewRuntime(view).layout.reachMs));
  const from = Number.isFinite(reach) ? first - reach : null;
  await checkComplete(store, views[0]!, from);
  const files: BeamFile[] = [];
  const events = seen(store, source.name, partitions, from, last);
  for (let next = await events.next(); next.done !== true || files.length === 0; ) {
    const name = `${source.name}-${files.length}.jsonl`;
    await pipeline(
      async function* () {
        let left = fileEvents;
        for (; next.done !== true && left > 0; next = await events.next()) {
          left -= next.value.length;
          yield `${next.value.map(writeLoggedLine).join("\n")}\n`;
        }
      },
      createWriteStream(join(folder, name)),
    );
    files.push({ path: join(folder, name), format: "jsonl", partition: name });
  }
  return { input: { files }, cells: "logged", nulls: [] };
}

/** A reading of history fails where what it needs was dropped; one of a moment costs nothing. */
async function checkComplete(store: OfflineStore, view: FeatureViewMeta, from: number | null): Promise<void> {
  const { source, keyColumns } = view;
  const before = (from ?? OLDEST) + 1;
  const query = { source: source.name, keyColumns, keys: null, from, before, knowledge: "event_time" } as const;
  for await (const _ of store.history(query)) break;
}

async function* seen(
  store: OfflineStore,
  source: string,
  partitions: Awaited<ReturnType<OfflineStore["partitions"]>>,
  from: number | null,
  last: number,
): AsyncGenerator<readonly LoggedEvent[], undefined> {
  for (const { partitionId, committed } of partitions) {
    for await (const batch of store.read(source, partitionId, Number.NEGATIVE_INFINITY, committed)) {
      const wanted = batch.filter(({ eventTime }) => eventTime < last && (from === null || eventTime >= from));
      if (wanted.length > 0) yield wanted;
    }
  }
  return undefined;
}
