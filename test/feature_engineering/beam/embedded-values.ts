import type { Declarations } from "../../../src/feature_engineering/plan/collect-declarations.ts";
import { memoryOfflineStore } from "../../../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../../../src/feature_store/offline/offline-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import type { OnlineStore } from "../../../src/feature_store/online/online-store.ts";
import { createPipeline } from "../../../src/pipeline/pipeline.ts";
import type { RandomMessage, RandomStream } from "./random-stream.ts";

export interface EmbeddedValues {
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** `code partition offset`, sorted. */
  readonly letters: readonly string[];
}

/** What the embedded engine makes of a random stream, at a moment of the wall clock (epoch milliseconds). */
export async function embeddedValues(
  { source, views }: RandomStream,
  messages: readonly RandomMessage[],
  now: number,
): Promise<EmbeddedValues> {
  const online = memoryOnlineStore();
  const offline = memoryOfflineStore();
  const pipeline = createPipeline({ sources: [source], views, online, offline, now: () => now });
  const memory = pipeline.memory(source.name);
  await pipeline.recover();
  for (const { text, partition, arrival } of messages) {
    memory.push([text], { partition: String(partition), ingestedAt: arrival });
  }
  memory.end();
  await pipeline.start();
  await pipeline.finished();
  await pipeline.close();
  const letters = await offline.deadLetters({ source: source.name, limit: 10_000 });
  return {
    online,
    offline,
    letters: letters.map(({ code, partition, offset }) => `${code} ${partition} ${offset}`).sort(),
  };
}

export function declarationsOf(streams: readonly RandomStream[]): Declarations {
  const views = streams.flatMap((stream) => stream.views);
  const entities = new Map(views.map((view) => [view.entity.name, view.entity]));
  const sources = streams.map((stream) => stream.source);
  return { entities: [...entities.values()], sources, views, services: [], models: [] };
}

/** The first moment at which all events are in the past: that of a stream's clock, or `now`. Epoch milliseconds. */
export function clockOf({ source, messages }: Pick<RandomStream, "source" | "messages">, now: number): number {
  const index = source.columns.findIndex((column) => column.name === source.eventTime);
  const times = messages.flatMap(({ row }) => (row === null ? [] : [row[index] as number]));
  return source.clock === "wall" ? now : Math.max(0, ...times) + 1;
}
