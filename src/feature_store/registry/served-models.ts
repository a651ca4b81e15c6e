import type { OfflineStore } from "../offline/offline-store.ts";

/** A model version that answered requests, with what it read. */
export interface ServedModelRecord {
  readonly model: string;
  readonly version: string;
  readonly service: string;
  readonly serviceHash: string;
  /** The plan that was applied then. */
  readonly planHash: string | null;
  /** When it began to serve; epoch milliseconds. */
  readonly servedAt: number;
}

const KIND = "served_model";

/** Notes that a version of a model began to serve. The same version on the same plan is noted once, at its latest. */
export async function recordServedModel(store: OfflineStore, record: ServedModelRecord): Promise<void> {
  const { model, version, serviceHash, planHash } = record;
  await store.putDocument(KIND, JSON.stringify([model, version, serviceHash, planHash]), JSON.stringify(record));
}

/** In the order in which they began to serve. */
export async function servedModels(store: OfflineStore): Promise<readonly ServedModelRecord[]> {
  return (await store.documents(KIND)).map(({ json }) => JSON.parse(json) as ServedModelRecord);
}
