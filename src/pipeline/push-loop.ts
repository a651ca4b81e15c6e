import { isMillraceError, millraceError } from "../definitions/errors.ts";
import type { PartitionLeases } from "../feature_store/offline/partition-leases.ts";
import type { MessageSource } from "../ingestion/message-source.ts";
import type { HttpPushSource, PushOptions, PushResult } from "../ingestion/sources/http-push.ts";
import type { IngestionStatus, StreamIngestion } from "../ingestion/stream-ingestion.ts";
import type { DecodedPayload } from "../ingestion/stream-message.ts";

export interface PushLoopOptions {
  readonly source: string;
  /** Where several processes take pushes, each has a partition of its own by a lease. */
  readonly leases: PartitionLeases | null;
  /** Names this process; null: no other one takes pushes. */
  readonly holder: string | null;
  readonly make: (partition: string) => HttpPushSource;
  readonly loop: (reader: MessageSource) => StreamIngestion;
  readonly onFailure?: (source: string, error: unknown) => void;
}

/** The loop of the events that are pushed to one source. */
export interface PushLoop {
  /** Resolves when pushes are taken, or the loop has failed (which `onFailure` was told). */
  start(): Promise<void>;
  push(events: readonly unknown[] | string, options?: PushOptions): Promise<PushResult>;
  /** See `HttpPushSource.pushDecoded`. */
  pushDecoded(bytes: Uint8Array, decoded: DecodedPayload, options?: PushOptions): Promise<PushResult>;
  status(): Promise<IngestionStatus>;
  stop(how: "drain" | "close"): Promise<void>;
}

interface Run {
  readonly partition: string;
  readonly push: HttpPushSource;
  readonly ingestion: StreamIngestion;
  readonly ended: Promise<void>;
}

/** How long a partition stays with a process that says nothing, milliseconds. */
const LEASE_MS = 15_000;
/** Pause before another attempt to get a partition, milliseconds. */
const PAUSE_MS = 1_000;
const PREFIX = "http:";

export function createPushLoop(options: PushLoopOptions): PushLoop {
  const { source, holder } = options;
  const leases = holder === null ? null : options.leases;
  // Makes a status before the first run.
  const idle = options.loop(options.make(`${PREFIX}0`));
  let current: Run | null = null;
  let stopped = false;
  let renewing: NodeJS.Timeout | null = null;
  let retrying: NodeJS.Timeout | null = null;

  async function open(): Promise<void> {
    const partition = leases === null ? `${PREFIX}0` : await leases.acquire(source, PREFIX, holder!, LEASE_MS);
    if (stopped) return;
    const push = options.make(partition);
    const opened = Promise.withResolvers<void>();
    const ingestion = options.loop({
      ...push,
      async open(resume) {
        await push.open(resume);
        opened.resolve();
      },
    });
    const ended = ingestion.run().catch((error: unknown) => {
      options.onFailure?.(source, error);
      // Another process has the partition: this one takes another.
      if (isMillraceError(error) && error.code === "PARTITION_FENCED") again();
    });
    current = { partition, push, ingestion, ended };
    await Promise.race([opened.promise, ended]);
  }

  function again(): void {
    if (stopped || leases === null || retrying !== null) return;
    retrying = setTimeout(() => {
      retrying = null;
      open().catch((error: unknown) => {
        options.onFailure?.(source, error);
        again();
      });
    }, PAUSE_MS);
  }

  async function renew(): Promise<void> {
    const run = current;
    if (leases === null || run === null || stopped) return;
    try {
      if (await leases.renew(source, run.partition, holder!, LEASE_MS)) return;
    } catch (error) {
      // The lease may still be held: what is committed meanwhile is fenced if it is not.
      options.onFailure?.(source, error);
      return;
    }
    if (current !== run || stopped) return;
    await run.ingestion.close();
    again();
  }

  function running(): HttpPushSource {
    if (current !== null) return current.push;
    throw millraceError("SOURCE_CLOSED", `The source '${source}' takes no events now: send them again later.`, {
      kind: "operational",
      details: { retry_after_seconds: 5 },
    });
  }

  return {
    async start() {
      await open();
      if (leases !== null) renewing = setInterval(() => void renew(), LEASE_MS / 3);
    },
    pushDecoded: async (bytes, decoded, pushOptions) => running().pushDecoded(bytes, decoded, pushOptions),
    async push(events, pushOptions) {
      const push = running();
      return typeof events === "string" ? push.pushText(events, pushOptions) : push.push(events, pushOptions);
    },
    status: () => (current?.ingestion ?? idle).status(),
    async stop(how) {
      stopped = true;
      if (renewing !== null) clearInterval(renewing);
      if (retrying !== null) clearTimeout(retrying);
      const run = current;
      if (run === null) return;
      await run.ingestion[how]();
      await run.ended;
      await leases?.release(source, run.partition, holder!);
    },
  };
}
