import type { ValueWrite } from "../feature_engineering/engine/feature-sink.ts";
import { metaNames } from "../feature_engineering/engine/meta-names.ts";
import { decodeEntityState } from "../feature_engineering/windows/entity-state.ts";
import { isExpired } from "../feature_engineering/windows/fold-event.ts";
import type { OnlineStore } from "./online/online-store.ts";
import type { ViewRuntime } from "./view-runtime.ts";

/** Looks through a key space for values that nobody needs any more, a part at a time. */
export interface Sweeper {
  /**
   * Looks at some more values, about so many, and deletes those of entities of which no window can hold anything at or
   * after the source's clock less its future bound. Before the first of a pass it notes up to when values were dropped,
   * so that a read as of an older moment is refused, not answered wrongly. A value that is written meanwhile stays.
   * `done` once the key space was looked through; the next step begins again.
   */
  step(clock: number, maxValues: number): Promise<{ readonly deleted: number; readonly done: boolean }>;
}

/** A store that drops values by itself is not swept, where it knows the clock. */
export function createSweeper(store: OnlineStore, { layout, keyspace }: ViewRuntime): Sweeper {
  const bySelf = store.capabilities.expires && layout.view.source.clock === "wall";
  let pass: ReturnType<ReturnType<OnlineStore["scan"]>[typeof Symbol.asyncIterator]> | null = null;
  let noted = Number.NEGATIVE_INFINITY;

  async function note(clock: number): Promise<void> {
    const before = clock - layout.reachMs - layout.futureBoundMs;
    if (before <= noted) return;
    const [known] = await store.readMeta([metaNames.expired(keyspace)]);
    if (known === null || known === undefined || Number(known) < before) {
      await store.writeMeta(new Map([[metaNames.expired(keyspace), String(before)]]));
    }
    noted = before;
  }

  return {
    async step(clock, maxValues) {
      if (bySelf || layout.reachMs === Number.POSITIVE_INFINITY || !Number.isFinite(clock))
        return { deleted: 0, done: true };
      let deleted = 0;
      pass ??= store.scan(keyspace)[Symbol.asyncIterator]();
      try {
        for (let looked = 0; looked < maxValues; ) {
          const { value: values, done } = await pass.next();
          if (done === true) {
            pass = null;
            noted = Number.NEGATIVE_INFINITY;
            return { deleted, done: true };
          }
          looked += values.length;
          const writes = values
            .filter(({ value }) => isExpired(layout, decodeEntityState(layout, value.bytes).maxEventTime, clock))
            .map(({ key, value }): ValueWrite => ({ keyspace, key, expectedRevision: value.revision, bytes: null }));
          if (writes.length === 0) continue;
          await note(clock);
          deleted += (await store.compareAndSet(writes)).filter(Boolean).length;
        }
      } catch (error) {
        pass = null;
        throw error;
      }
      return { deleted, done: false };
    },
  };
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
        [metaNames.writer(keyspace), null],
        [metaNames.dropping(keyspace), "1"],
      ]),
    );
    await store.dropKeyspace(keyspace);
    await store.writeMeta(new Map([[metaNames.dropping(keyspace), null]]));
  }
  return gone;
}
