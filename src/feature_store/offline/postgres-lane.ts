import { storeError } from "../store-error.ts";

export interface LaneOptions {
  readonly places: number;
  /** What its connections serve, for the error. */
  readonly what: string;
  readonly place: string;
  readonly timeoutMs: number;
}

/** So many at once; the others wait in turn, for a bounded time. */
export interface Lane {
  /** Throws `OFFLINE_STORE_BUSY` after the time limit. */
  enter(): Promise<void>;
  leave(): void;
}

export function lane({ places, what, place, timeoutMs }: LaneOptions): Lane {
  const queue = new Set<() => void>();
  let free = places;
  return {
    enter() {
      if (free > 0) {
        free--;
        return Promise.resolve();
      }
      return new Promise((resolve, reject) => {
        const enter = (): void => {
          clearTimeout(timer);
          resolve();
        };
        const timer = setTimeout(() => {
          queue.delete(enter);
          reject(
            storeError(
              "OFFLINE_STORE_BUSY",
              `The offline store ${place} had no connection for ${what} in ${timeoutMs} ms, all ${places} are in use: raise maxConnections, or do less at once.`,
              { kind: "operational", details: { place } },
            ),
          );
        }, timeoutMs);
        queue.add(enter);
      });
    },
    leave() {
      const [next] = queue;
      if (next === undefined) {
        free++;
        return;
      }
      queue.delete(next);
      next();
    },
  };
}
