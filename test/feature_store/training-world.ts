import { fileURLToPath } from "node:url";
import {
  CategoricalTransform,
  count,
  entity,
  featureService,
  featureView,
  latest,
  memory,
  NumericTransform,
  requestSource,
  streamSource,
  sum,
  t,
} from "../../src/definitions/index.ts";
import { Meta } from "../../src/definitions/meta.ts";
import { createMessageLogger } from "../../src/feature_engineering/engine/message-logger.ts";
import { createFeatureStore, type FeatureStore } from "../../src/feature_store/feature-store.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import { writeTrainingFile } from "../../src/feature_store/training-file.ts";

const visits = streamSource("visits", {
  stream: memory(),
  eventTime: "at",
  lateness: "1m",
  schema: { user_id: t.int64(), page: t.string(), seconds: t.float64(), at: t.timestamp() },
});
const user = entity("user", { user_id: t.int64() });
const activity = featureView("activity", {
  source: visits,
  entity: user,
  features: { n: count().over("10m"), seconds: sum(visits.seconds).over("1h"), page: latest(visits.page) },
});
const request = requestSource({ asked: t.float64() });
const fitted = featureService("fitted", {
  features: {
    n: activity.n,
    seconds: NumericTransform.of(activity.seconds).standardize(),
    page: CategoricalTransform.of(activity.page).ordinal(),
    asked: request.asked,
  },
});
const plain = featureService("plain", { features: { n: activity.n, page: activity.page, asked: request.asked } });

/** A store with some visits in its history. */
export async function trainingStore(): Promise<FeatureStore> {
  const offline = memoryOfflineStore();
  const source = visits[Meta];
  await offline.prepareSource({ source: source.name, columns: source.columns, hasId: false });
  const partition = await offline.own(source.name, "0");
  const log = createMessageLogger(source);
  const events = Array.from({ length: 300 }, (_, offset) => {
    const at = offset * 7_000;
    const payload = [BigInt(offset % 5), `page ${offset % 7}`, offset / 4, at];
    const message = { source: source.name, partition: "0", offset, key: null, payload, headers: {} };
    return log({ ...message, eventTime: at, ingestedAt: at } as never, partition.partitionId);
  });
  await offline.commit({ partition, events, deadLetters: [], lastOffset: events.length - 1 });
  const services = [fitted[Meta], plain[Meta]];
  return createFeatureStore({
    views: [activity[Meta]],
    services,
    online: memoryOnlineStore(),
    offline,
    now: () => 0,
  });
}

/** A frame as CSV. */
export function visitors(rows: number): string {
  const lines = Array.from({ length: rows }, (_, i) => {
    const at = new Date(i * 20_011).toISOString();
    return `${i % 6},${at},${i / 8},${i % 2 === 0},note ${i}`;
  });
  return `user_id,event_timestamp,asked,bought,note\n${lines.join("\n")}\n`;
}

// As a process of its own, to be killed: entities, out.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , entities, out] = process.argv as [string, string, string, string];
  await writeTrainingFile(await trainingStore(), {
    service: "fitted",
    entities,
    out,
    partRows: 10,
    onProgress: ({ step, rows }) => process.stdout.write(`${step} ${rows}\n`),
  });
}
