import type { ValueWrite } from "../feature_engineering/engine/feature-sink.ts";
import { metaNames } from "../feature_engineering/engine/meta-names.ts";
import { decodeEntityState } from "../feature_engineering/windows/entity-state.ts";
import { isExpired } from "../feature_engineering/windows/fold-event.ts";
import type { OnlineStore } from "./online/online-store.ts";
import type { ViewRuntime } from "./view-runtime.ts";

/**
 * Deletes the values of entities of which no window can hold anything at or after the source's clock less its future
 * bound. First notes up to when values were dropped, so that a read as of an older moment is refused, not answered
 * wrongly. Returns how many were deleted. A value that is written meanwhile stays.
 */
export async function sweepExpired(
  store: OnlineStore,
  { layout, keyspace }: ViewRuntime,
  clock: number,
): Promise<number> {
  if (layout.reachMs === Number.POSITIVE_INFINITY || !Number.isFinite(clock)) return 0;
  let deleted = 0;
  let noted = false;
  for await (const values of store.scan(keyspace)) {
    const writes = values
      .filter(({ value }) => isExpired(layout, decodeEntityState(layout, value.bytes), clock))
      .map(({ key, value }): ValueWrite => ({ keyspace, key, expectedRevision: value.revision, bytes: null }));
    if (writes.length === 0) continue;
    if (!noted) {
      noted = true;
      const before = clock - layout.reachMs - layout.futureBoundMs;
      const [known] = await store.readMeta([metaNames.expired(keyspace)]);
      if (known === null || known === undefined || Number(known) < before) {
        await store.writeMeta(new Map([[metaNames.expired(keyspace), String(before)]]));
      }
    }
    deleted += (await store.compareAndSet(writes)).filter(Boolean).length;
  }
  return deleted;
}

/**
 * Drops the key spaces of view versions that are not declared any more. They are marked as not filled first: declared
 * again, they are filled from history anew.
 */
export async function dropUndeclared(store: OnlineStore, declared: ReadonlySet<string>): Promise<readonly string[]> {
  const gone = (await store.keyspaces()).filter((keyspace) => !declared.has(keyspace));
  for (const keyspace of gone) {
    await store.writeMeta(
      new Map([
        [metaNames.ready(keyspace), null],
        [metaNames.dropping(keyspace), "1"],
      ]),
    );
    await store.dropKeyspace(keyspace);
    await store.writeMeta(new Map([[metaNames.dropping(keyspace), null]]));
  }
  return gone;
}
