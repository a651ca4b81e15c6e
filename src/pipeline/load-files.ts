import { millraceError } from "../definitions/errors.ts";
import type { SourceMeta } from "../definitions/source.ts";
import type { OwnedPartition } from "../feature_engineering/engine/event-log.ts";
import { createMessageLogger } from "../feature_engineering/engine/message-logger.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import type { DeadLetterThreshold } from "../ingestion/dead-letter-share.ts";
import { compileMessageDecoder } from "../ingestion/decoders/message-decoder.ts";
import { fileReplay } from "../ingestion/sources/file-replay.ts";
import { streamIngestion } from "../ingestion/stream-ingestion.ts";

export interface LoadFilesOptions {
  readonly source: SourceMeta;
  /** Files, folders or glob patterns; CSV or JSON lines, plain or gzip. */
  readonly paths: readonly string[];
  readonly offline: OfflineStore;
  /** Files, by content, that an earlier run of the same job began: it goes on where it was left. */
  readonly begun: ReadonlySet<string>;
  /** Called when a file is begun, before anything of it is loaded. */
  readonly onFile: (partition: string) => Promise<void>;
  readonly onBatch: (loaded: { readonly events: number; readonly deadLetters: number }) => void;
  readonly signal: AbortSignal;
  /** Above which share of bad records it stops. Default: half of the last 1,000. */
  readonly deadLetterThreshold?: DeadLetterThreshold;
}

/**
 * Loads files into the history of a source, and nowhere else: no value changes until its views are rebuilt, or folded
 * at the next start. A file is known by its content, so that a second run adds nothing, and by ids where declared.
 *
 * @throws `FILE_KNOWN` if the source's own replay, or another job, has read the file
 */
export async function loadFiles(options: LoadFilesOptions): Promise<void> {
  const { source, offline, signal } = options;
  const decoder = compileMessageDecoder(source.columns, { eventTime: source.eventTime });
  const toLogged = createMessageLogger(source);
  const owned = new Map<string, OwnedPartition>();
  const arrival = source.columns.find((column) => column.name === source.ingestedAt);
  const { connector } = source;

  async function own(partition: string): Promise<OwnedPartition> {
    const known = (await offline.partitions(source.name)).some((one) => one.partition === partition);
    if (known && !options.begun.has(partition)) {
      throw millraceError(
        "FILE_KNOWN",
        `A file of the same content is in the history of source '${source.name}' already: leave it out.`,
      );
    }
    await options.onFile(partition);
    const taken = await offline.own(source.name, partition);
    owned.set(partition, taken);
    return taken;
  }

  const loading = streamIngestion({
    source: source.name,
    reader: fileReplay({
      paths: options.paths,
      columns: source.columns,
      eventTime: source.eventTime,
      ...(connector.connector === "file_replay" ? { nulls: connector.nullTexts } : {}),
      ...(arrival === undefined ? {} : { ingestedAt: arrival }),
    }),
    decode: decoder.decode,
    eventTimeIndex: source.columns.findIndex((column) => column.name === source.eventTime),
    futureBoundMs: source.clock === "stream" ? null : source.futureBoundMs,
    async resume(partition) {
      const { committed, cursor } = owned.get(partition) ?? (await own(partition));
      return { offset: committed, cursor };
    },
    async handler(batch) {
      const partition = owned.get(batch.partition) ?? (await own(batch.partition));
      const { inserted } = await offline.commit({
        partition,
        events: batch.messages.map((message) => toLogged(message, partition.partitionId)),
        deadLetters: batch.deadLetters,
        lastOffset: batch.lastOffset,
        ...(batch.cursor === undefined ? {} : { cursor: batch.cursor }),
      });
      options.onBatch({ events: inserted.length, deadLetters: batch.deadLetters.length });
    },
    maxBatch: 16_000,
    ...(options.deadLetterThreshold === undefined ? {} : { deadLetterThreshold: options.deadLetterThreshold }),
  });
  await loading.run(signal);
}
