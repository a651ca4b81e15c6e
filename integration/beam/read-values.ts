import type { FeatureViewMeta } from "../../src/definitions/feature-view.ts";
import type { Value } from "../../src/definitions/value.ts";
import { createByteWriter } from "../../src/feature_engineering/encoding/byte-writer.ts";
import { encodeEntityKey } from "../../src/feature_engineering/encoding/entity-key.ts";
import { decodeEntityState } from "../../src/feature_engineering/windows/entity-state.ts";
import { createViewReading, readFeatures } from "../../src/feature_engineering/windows/read-features.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { createViewRuntime } from "../../src/feature_store/view-runtime.ts";

/** An entity's features at a moment, in declared order; null if the store has nothing of it. */
export async function featuresOf(
  view: FeatureViewMeta,
  hot: OnlineStore,
  key: readonly Value[],
  time: number,
): Promise<readonly unknown[] | null> {
  const { layout, keyspace } = createViewRuntime(view);
  const bytes = createByteWriter(64);
  encodeEntityKey(layout.keyTypes, key, bytes);
  const [stored] = await hot.read([{ keyspace, key: bytes.finish() }]);
  if (stored === undefined || stored === null) return null;
  const reading = createViewReading(layout);
  readFeatures(layout, decodeEntityState(layout, stored.bytes), time, reading);
  return [...reading.values];
}
