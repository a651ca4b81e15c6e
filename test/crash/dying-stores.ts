import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";

export interface Dying {
  /** Where the process kills itself; null: nowhere. */
  readonly point: string | null;
  /** How often it passes there before. */
  readonly after: number;
  /** False: what was committed and not folded is not read again. */
  readonly recovery: boolean;
}

/**
 * Stores whose process dies, as by `kill -9`, at one of the points `before-commit`, `after-commit`, `between-writes` (half
 * of some values are written), `before-applied` and `after-applied`.
 */
export function dyingStores(
  { online, offline }: { readonly online: OnlineStore; readonly offline: OfflineStore },
  { point, after, recovery }: Dying,
): { readonly online: OnlineStore; readonly offline: OfflineStore } {
  let left = after;
  const pass = (name: string): void => {
    if (name === point && left-- <= 0) process.kill(process.pid, "SIGKILL");
  };
  return {
    offline: {
      ...offline,
      async commit(commit) {
        pass("before-commit");
        const result = await offline.commit(commit);
        pass("after-commit");
        return result;
      },
      async setApplied(positions) {
        pass("before-applied");
        await offline.setApplied(positions);
        pass("after-applied");
      },
      async *read(...args) {
        if (recovery) yield* offline.read(...args);
      },
    },
    online: {
      ...online,
      async compareAndSet(writes, session) {
        const half = Math.ceil(writes.length / 2);
        const first = await online.compareAndSet(writes.slice(0, half), session);
        pass("between-writes");
        return [...first, ...(await online.compareAndSet(writes.slice(half), session))];
      },
    },
  };
}
