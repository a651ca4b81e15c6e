import { ingestionError } from "../ingestion-error.ts";
import type { MessageSource, RawBatch, ResumePosition } from "../message-source.ts";
import type { RawMessage } from "../stream-message.ts";

export interface MemoryPushOptions {
  /** Default `0`. */
  readonly partition?: string;
  readonly key?: Uint8Array | null;
  /** Epoch ms; default null: the event time stands in. */
  readonly ingestedAt?: number | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The reference adapter: keeps every message, so that it can be opened again at any position. */
export interface MemorySource extends MessageSource {
  /** Appends events: objects, or JSON as text or bytes. Offsets count from 0 in each partition. */
  push(values: readonly RawMessage["value"][], options?: MemoryPushOptions): void;
  /** No more will come: `fetch` gives null once everything was given. */
  end(): void;
}

interface MemoryPartition {
  readonly messages: RawMessage[];
  /** The offset of the next message to give. */
  next: number;
  checkpointed: number;
}

/** Makes a source that is fed by its own process. */
export function memorySource(): MemorySource {
  const partitions = new Map<string, MemoryPartition>();
  let resume: ResumePosition | null = null;
  let ended = false;
  let wake: (() => void) | null = null;
  let turn = 0;

  const changed = (): void => {
    const waiting = wake;
    wake = null;
    waiting?.();
  };

  /** The partitions take turns, so that none starves. */
  const take = (maxMessages: number): RawBatch | null => {
    const all = [...partitions];
    for (let i = 0; i < all.length; i++) {
      const [partition, state] = all[(turn + i) % all.length]!;
      if (state.next < 0 || state.next >= state.messages.length) continue;
      turn = (turn + i + 1) % all.length;
      const messages = state.messages.slice(state.next, state.next + maxMessages);
      state.next += messages.length;
      return { partition, messages };
    }
    return null;
  };

  const seek = async (partition: string, state: MemoryPartition, from: ResumePosition): Promise<void> => {
    state.checkpointed = (await from(partition)).offset;
    state.next = state.checkpointed + 1;
  };

  return {
    capabilities: { monotonePositions: true, endless: true },
    push: (values, options = {}) => {
      const partition = options.partition ?? "0";
      const state = partitions.get(partition) ?? { messages: [], next: -1, checkpointed: -1 };
      partitions.set(partition, state);
      for (const value of values) {
        state.messages.push({
          partition,
          offset: state.messages.length,
          key: options.key ?? null,
          value,
          ingestedAt: options.ingestedAt ?? null,
          headers: options.headers ?? {},
        });
      }
      changed();
    },
    end: () => {
      ended = true;
      changed();
    },
    open: async (from) => {
      resume = from;
      for (const [partition, state] of partitions) await seek(partition, state, from);
    },
    fetch: async (maxMessages, signal) => {
      for (;;) {
        signal.throwIfAborted();
        if (resume === null) throw ingestionError("SOURCE_NOT_OPEN", "Open the memory source first.", { kind: "bug" });
        for (const [partition, state] of partitions) if (state.next < 0) await seek(partition, state, resume);
        const batch = take(maxMessages);
        if (batch !== null) return batch;
        // Lost while another one was resumed.
        if ([...partitions.values()].some(({ next }) => next < 0) || signal.aborted) continue;
        if (ended) return null;
        await new Promise<void>((resolve) => {
          wake = resolve;
          signal.addEventListener("abort", changed, { once: true });
        });
        signal.removeEventListener("abort", changed);
      }
    },
    checkpoint: async (partition, offset) => {
      const state = partitions.get(partition);
      if (state !== undefined) state.checkpointed = Math.max(state.checkpointed, offset);
    },
    lost: (partition) => {
      const state = partitions.get(partition);
      if (state !== undefined) state.next = -1;
      changed();
    },
    lag: async () =>
      [...partitions].map(([partition, state]) => ({
        partition,
        messages: Math.max(0, state.messages.length - 1 - state.checkpointed),
        seconds: null,
      })),
    close: async () => {
      resume = null;
      changed();
    },
  };
}
