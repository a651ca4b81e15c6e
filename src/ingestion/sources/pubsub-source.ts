import type { Message, PubSub, Subscription } from "@google-cloud/pubsub";
import type { MillraceError } from "../../definitions/errors.ts";
import { type IdempotencyLog, memoryIdempotencyLog } from "../idempotency-log.ts";
import { ingestionError } from "../ingestion-error.ts";
import type { MessageSource, RawBatch, ResumePosition } from "../message-source.ts";
import { solePartition } from "../partition-leases.ts";
import type { AcceptedPush, RawMessage } from "../stream-message.ts";
import { arrivals } from "./arrivals.ts";
import type { PubsubSourceOptions } from "./pubsub-options.ts";

/** One message id that is on its way, with everything that waits for its acknowledgement. */
interface Delivery {
  readonly id: string;
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey: string;
  /** When Pub/Sub took it; epoch milliseconds. */
  readonly publishedAt: number;
  /** The deliveries of the message: each has an acknowledgement of its own. */
  readonly handles: Message[];
  /** −1 before it is handed out. */
  offset: number;
}

/** gRPC status codes that the operator must mend. */
const STATUS = { invalidArgument: 3, notFound: 5, permissionDenied: 7, unauthenticated: 16 };

/**
 * Pulls a Pub/Sub subscription. Pub/Sub has no positions: messages get the next offset of an internal partition, and a
 * message is acknowledged only once it is committed. Its id is committed with it, so that a message that is delivered
 * again changes nothing, whatever the subscription guarantees.
 *
 * Errors: `PUBSUB_UNAVAILABLE` (tried again), `PUBSUB_DENIED`, `PUBSUB_SUBSCRIPTION_UNKNOWN`, `PACKAGE_MISSING`.
 */
export function pubsubSource(options: PubsubSourceOptions): MessageSource {
  const lease = options.partition ?? solePartition("pubsub:0");
  const keepMs = options.keepMs ?? 5_000;
  const log: IdempotencyLog = options.idempotencyLog ?? memoryIdempotencyLog();
  const now = options.now ?? Date.now;
  let client: PubSub | null = null;
  let resume: ResumePosition = async () => ({ offset: -1, cursor: null });
  /** What offsets are counted in now; null: to be taken. */
  let partition: string | null = null;
  let keptAt = 0;
  let subscription: Subscription | null = null;
  /** By message id: queued, or handed out and not committed. */
  let underWay = new Map<string, Delivery>();
  let queue: Delivery[] = [];
  let handed: Delivery[] = [];
  let nextOffset = 0;
  let lastPublished: number | null = null;
  let failure: unknown = null;
  const arrived = arrivals();

  function receive(message: Message): void {
    const known = underWay.get(message.id);
    if (known !== undefined) {
      known.handles.push(message);
      return;
    }
    const delivery: Delivery = {
      id: message.id,
      data: message.data,
      attributes: message.attributes,
      orderingKey: message.orderingKey ?? "",
      publishedAt: message.publishTime.getTime(),
      handles: [message],
      offset: -1,
    };
    underWay.set(message.id, delivery);
    queue.push(delivery);
    arrived.note();
  }

  function settle({ id, handles }: Delivery): void {
    underWay.delete(id);
    // An acknowledgement that gets lost brings the message again, and its id is known then.
    for (const handle of handles) handle.ack();
  }

  /** Another process may count in the partition: what is not committed is counted again, in another one. */
  function giveUp(): void {
    partition = null;
    for (const delivery of handed) delivery.offset = -1;
    queue.unshift(...handed.splice(0));
    arrived.note();
  }

  async function hold(): Promise<string> {
    if (partition !== null && performance.now() - keptAt > keepMs) {
      if (await lease.keep()) keptAt = performance.now();
      else giveUp();
    }
    if (partition === null) {
      const taken = await lease.take();
      nextOffset = (await resume(taken)).offset + 1;
      partition = taken;
      keptAt = performance.now();
    }
    return partition;
  }

  async function take(held: string, maxMessages: number): Promise<RawBatch> {
    const candidates = queue.splice(0, maxMessages);
    let seen: Awaited<ReturnType<IdempotencyLog["seen"]>>;
    try {
      seen = await log.seen(candidates.map((delivery) => keyOf(delivery.id)));
    } catch (error) {
      queue.unshift(...candidates);
      throw error;
    }
    const messages: RawMessage[] = [];
    const pushes: AcceptedPush[] = [];
    const at = now();
    for (const [i, delivery] of candidates.entries()) {
      if (seen[i]) {
        settle(delivery);
        continue;
      }
      delivery.offset = nextOffset++;
      handed.push(delivery);
      messages.push({
        partition: held,
        offset: delivery.offset,
        key: delivery.orderingKey === "" ? null : Buffer.from(delivery.orderingKey, "utf8"),
        value: delivery.data,
        ingestedAt: delivery.publishedAt,
        headers: delivery.attributes,
      });
      pushes.push({
        idempotencyKey: keyOf(delivery.id),
        partition: held,
        firstOffset: delivery.offset,
        lastOffset: delivery.offset,
        accepted: 1,
        rejected: [],
        at,
      });
    }
    if (messages.length > 0) lastPublished = messages.at(-1)!.ingestedAt;
    return { partition: held, messages, pushes };
  }

  return {
    capabilities: { monotonePositions: false, endless: true },
    async open(resumePosition) {
      resume = resumePosition;
      partition = null;
      underWay = new Map();
      queue = [];
      handed = [];
      failure = null;
      const { PubSub: Client } = await importClient();
      client = new Client({
        ...(options.projectId === undefined ? {} : { projectId: options.projectId }),
        ...(options.emulator === undefined ? {} : { apiEndpoint: options.emulator, emulatorMode: true }),
      });
      subscription = client.subscription(options.subscription, {
        flowControl: {
          maxMessages: options.maxOutstanding ?? 10_000,
          maxBytes: options.maxOutstandingBytes ?? 64 * 2 ** 20,
          allowExcessMessages: false,
        },
      });
      try {
        await subscription.getMetadata();
      } catch (cause) {
        await client.close().catch(() => {});
        throw pubsubError(cause, options.subscription);
      }
      subscription.on("message", receive);
      subscription.on("error", (cause: unknown) => {
        failure = pubsubError(cause, options.subscription);
        arrived.note();
      });
    },
    async fetch(maxMessages, signal) {
      while (true) {
        signal.throwIfAborted();
        if (client === null)
          throw ingestionError("SOURCE_NOT_OPEN", "The Pub/Sub source is not open.", { kind: "bug" });
        const held = await hold();
        if (queue.length > 0) {
          const batch = await take(held, maxMessages);
          if (batch.messages.length > 0) return batch;
          continue;
        }
        if (failure !== null) {
          const error = failure;
          failure = null;
          // The client ends a subscription that failed: open it again.
          subscription?.open();
          throw error;
        }
        await arrived.next(keepMs, signal);
      }
    },
    lost(name) {
      if (name === partition) giveUp();
    },
    async checkpoint(name, offset) {
      if (name !== partition) return;
      const done = handed.findIndex((delivery) => delivery.offset > offset);
      for (const delivery of handed.splice(0, done < 0 ? handed.length : done)) settle(delivery);
    },
    async lag() {
      const waiting = queue[0]?.publishedAt ?? (handed.length > 0 ? lastPublished : null);
      if (partition === null) return [];
      return [
        {
          partition,
          messages: null,
          seconds: waiting === null || waiting === undefined ? 0 : Math.max(0, (now() - waiting) / 1_000),
        },
      ];
    },
    async close() {
      if (client === null) return;
      const [closing, ended] = [client, subscription];
      client = null;
      arrived.note();
      // What was not committed goes to somebody else at once. Before the last listener goes: with it the client closes, and
      // what it is told later is not sent.
      for (const delivery of underWay.values()) for (const handle of delivery.handles) handle.nack();
      ended?.removeAllListeners("message");
      underWay.clear();
      partition = null;
      await lease.release();
      await ended?.close().catch(() => {});
      await closing.close().catch(() => {});
    },
  };
}

/** Apart from the keys that clients choose over HTTP. */
function keyOf(id: string): string {
  return `pubsub:${id}`;
}

async function importClient(): Promise<typeof import("@google-cloud/pubsub")> {
  try {
    return await import("@google-cloud/pubsub");
  } catch (cause) {
    throw ingestionError(
      "PACKAGE_MISSING",
      "Pub/Sub sources need the package @google-cloud/pubsub, which is not installed: npm install @google-cloud/pubsub",
      { cause },
    );
  }
}

function pubsubError(cause: unknown, subscription: string): MillraceError {
  const { code } = cause as { code?: number };
  const said = cause instanceof Error ? cause.message : String(cause);
  if (code === STATUS.notFound || code === STATUS.invalidArgument) {
    return ingestionError(
      "PUBSUB_SUBSCRIPTION_UNKNOWN",
      `There is no Pub/Sub subscription '${subscription}' (${said}): make it, or correct the source's subscription and project.`,
      { kind: "user" },
    );
  }
  if (code === STATUS.permissionDenied || code === STATUS.unauthenticated) {
    return ingestionError(
      "PUBSUB_DENIED",
      `Pub/Sub refuses subscription '${subscription}' (${said}): its reader needs the role pubsub.subscriber.`,
      { kind: "user" },
    );
  }
  return ingestionError("PUBSUB_UNAVAILABLE", `Pub/Sub subscription '${subscription}' fails: ${said}`, {
    kind: "operational",
    cause,
  });
}
