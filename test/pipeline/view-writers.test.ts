import { expect, test } from "vitest";
import { millraceError } from "../../src/definitions/errors.ts";
import { viewVersion } from "../../src/feature_engineering/plan/plan-hash.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import { dropUndeclared } from "../../src/feature_store/sweep.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";
import { claimForBeam } from "../../src/pipeline/view-writers.ts";
import { declarations } from "../feature_store/payments.ts";

const { views } = declarations;

test("the embedded engine refuses views that Beam writes, unless their source is Beam's here too", async () => {
  const stores = { online: memoryOnlineStore(), offline: memoryOfflineStore() };
  const elsewhere = createPipeline({ ...declarations, ...stores, online: memoryOnlineStore() });
  await elsewhere.recover();
  const row = { id: "1", sender: "a", receiver: "b", amount: 1, cents: 1, at: 1, arrived: 1 };
  elsewhere.memory("payments").push([JSON.stringify(row)]);
  elsewhere.memory("payments").end();
  await elsewhere.start();
  await elsewhere.finished();
  await elsewhere.close();
  await claimForBeam(stores.online, views);
  await claimForBeam(stores.online, views);
  // As Redis says of a session that was never opened.
  const checkSession = async () => {
    throw millraceError("ONLINE_STORE_ROLLED_BACK", "Another session.", { kind: "operational" });
  };
  const pipeline = createPipeline({ ...declarations, ...stores, online: { ...stores.online, checkSession } });
  await expect(pipeline.recover()).rejects.toMatchObject({ code: "VIEW_OF_BEAM" });
  await expect(pipeline.fill(new Set(views.map(viewVersion)))).rejects.toMatchObject({ code: "VIEW_OF_BEAM" });
  await pipeline.close();
  // Not even what history has and the values lack is folded.
  expect(await stores.online.keyspaces()).toEqual([]);
  const beside = createPipeline({ ...declarations, ...stores, beam: declarations.sources.map(({ name }) => name) });
  await beside.recover();
  await beside.close();
});

test("Beam refuses views that the embedded engine has filled, until their values are dropped", async () => {
  const stores = { online: memoryOnlineStore(), offline: memoryOfflineStore() };
  const pipeline = createPipeline({ ...declarations, ...stores });
  await pipeline.recover();
  await pipeline.close();
  await expect(claimForBeam(stores.online, views)).rejects.toMatchObject({ code: "VIEW_OF_EMBEDDED_ENGINE" });
  // A key space is there once it has a value.
  const writes = views.map((view) => ({
    ...{ keyspace: viewVersion(view), key: new Uint8Array([1]), expectedRevision: 0, bytes: new Uint8Array([1]) },
  }));
  await stores.online.compareAndSet(writes);
  await dropUndeclared(stores.online, new Set());
  await claimForBeam(stores.online, views);
});
