import type { AcceptedPush } from "./stream-message.ts";

/**
 * The port that remembers accepted pushes by their idempotency key, for a window that the adapter sets.
 *
 * A log in the cold store writes `MessageBatch.pushes` in the transaction that commits the batch, and `record` then has
 * nothing left to do: so a push is applied once, also through a crash. A log elsewhere writes in `record`, after the
 * commit: then a push may be applied twice if the process dies in between, unless its source declares an event id.
 */
export interface IdempotencyLog {
  /** What is known under the keys, null where nothing is, in their order. */
  seen(keys: readonly string[]): Promise<readonly (AcceptedPush | null)[]>;
  /** Called once the batch that holds the pushes is committed. Recording a key again changes nothing. */
  record(pushes: readonly AcceptedPush[]): Promise<void>;
}

export interface MemoryIdempotencyLogOptions {
  /** How long a key is remembered, ms. Default 24 hours. */
  readonly windowMs?: number;
  readonly now?: () => number;
}

/** The reference adapter: forgets everything when the process ends. */
export function memoryIdempotencyLog(options: MemoryIdempotencyLogOptions = {}): IdempotencyLog {
  const windowMs = options.windowMs ?? 86_400_000;
  const now = options.now ?? Date.now;
  const pushes = new Map<string, AcceptedPush>();
  const forget = (): void => {
    // In the order of insertion, which is that of time.
    for (const [key, push] of pushes) {
      if (push.at >= now() - windowMs) return;
      pushes.delete(key);
    }
  };
  return {
    seen: async (keys) => {
      forget();
      return keys.map((key) => pushes.get(key) ?? null);
    },
    record: async (accepted) => {
      for (const push of accepted) if (!pushes.has(push.idempotencyKey)) pushes.set(push.idempotencyKey, push);
    },
  };
}
