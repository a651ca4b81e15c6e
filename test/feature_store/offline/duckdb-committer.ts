import type { LoggedEvent } from "../../../src/feature_engineering/engine/event-log.ts";
import { duckdbOfflineStore } from "../../../src/feature_store/offline/duckdb-offline-store.ts";
import type { SourceTable } from "../../../src/feature_store/offline/offline-store.ts";

export const clicks: SourceTable = {
  source: "clicks",
  columns: [
    { name: "click_id", type: { kind: "string", nullable: false } },
    { name: "user_id", type: { kind: "int64", nullable: false } },
    { name: "seconds", type: { kind: "float64", nullable: true } },
  ],
  hasId: true,
};

export function click(partitionId: number, offset: number): LoggedEvent {
  const id = `click-${offset}-with-a-long-id`;
  return {
    partitionId,
    offset,
    eventTime: 1_700_000_000_000 + offset * 10,
    version: null,
    ingestedAt: 1_700_000_000_500 + offset * 10,
    hash0: offset,
    hash1: 1,
    hash2: 2,
    hash3: 3,
    id,
    row: [id, BigInt(offset % 1_000), offset / 7],
  };
}

/** A process that takes the partition over, commits for ever, and tells what was done; made to be killed. */
if (process.argv[2] === "commit") {
  const store = await duckdbOfflineStore({ path: process.argv[3]!, checkpointBytes: 2 ** 20 });
  await store.prepareSource(clicks);
  const owned = await store.own("clicks", "0");
  let offset = owned.committed;
  for (let round = 0; ; round++) {
    const size = [1, 2_500, 7, 400][round % 4]!;
    const events = Array.from({ length: size }, () => click(owned.partitionId, ++offset));
    await store.commit({ partition: owned, events, deadLetters: [], lastOffset: offset });
    process.send!({ committed: offset });
    await store.setApplied([{ viewVersion: "view", partitionId: owned.partitionId, offset }]);
    process.send!({ applied: offset });
  }
}

/** A process that has the file open until its parent ends the connection. */
if (process.argv[2] === "hold") {
  const store = await duckdbOfflineStore({ path: process.argv[3]! });
  process.send!("open");
  process.on("disconnect", () => void store.close());
}
