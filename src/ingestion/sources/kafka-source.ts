import { setTimeout as pause } from "node:timers/promises";
import { ingestionError } from "../ingestion-error.ts";
import type { MessageSource, RawBatch, ResumePosition } from "../message-source.ts";
import { arrivals } from "./arrivals.ts";
import { joinKafka, type KafkaFetchResponse, type KafkaMember, type KafkaMetadata } from "./kafka-client.ts";
import { kafkaOffsetGone, kafkaReadDenied, kafkaRefused, kafkaTopicRemade } from "./kafka-errors.ts";
import type { KafkaSourceOptions } from "./kafka-options.ts";
import {
  addBuffered,
  type KafkaPartition,
  kafkaPartition,
  lagOf,
  noteAnswered,
  noteHandled,
  noteUnanswered,
  takeBuffered,
} from "./kafka-partition.ts";
import { type KafkaRecordsBatch, readKafkaRecords } from "./kafka-records.ts";

/**
 * A partition is fetched again when it has less than its part of these ready: so many messages, or so many bytes, of all
 * partitions together. What is held is more by what the fetches under way bring.
 */
const READY_MESSAGES = 96_000;
const READY_BYTES = 64 * 2 ** 20;
/** How often the group is told what is handled, milliseconds: for tools that show lag. */
const TELL_MS = 1_000;
/** How long a fetch that waits for messages goes without looking for a rebalance, milliseconds. */
const LOOK_MS = 200;
/** The protocol's error codes that are looked at. Source: Kafka's protocol guide. */
const OFFSET_OUT_OF_RANGE = 1;
const TOPIC_AUTHORIZATION_FAILED = 29;
/** How long a partition whose leader moved is left alone, milliseconds, and after how many refusals that is trouble. */
const MOVED_MS = 100;
const REFUSALS = 20;

/**
 * Reads the topics of a Kafka cluster as a member of a consumer group. The group shares out the partitions; where each
 * begins is what the cold store says, and `start` only where it says nothing. Of transactions, what was committed.
 *
 * Partitions are named `topic:index`. A partition that a rebalance takes away is dropped with all that was fetched of
 * it; what was handed out already is fenced by its next owner. Offsets are also committed to Kafka, for tools that show
 * lag.
 *
 * Errors: `KAFKA_UNAVAILABLE` and `KAFKA_TOPIC_UNKNOWN` (tried again), `KAFKA_DENIED`, `KAFKA_OFFSET_GONE`,
 * `PACKAGE_MISSING`.
 */
export function kafkaSource(options: KafkaSourceOptions): MessageSource {
  const { readyBytes = READY_BYTES } = options;
  let member: KafkaMember | null = null;
  let resume: ResumePosition = async () => ({ offset: -1, cursor: null });
  let assigned: ReturnType<KafkaMember["assignments"]> = null;
  let partitions = new Map<string, KafkaPartition>();
  /** In the order in which they are handed out next. */
  let turns: KafkaPartition[] = [];
  let failure: unknown = null;
  /** The topics as they were first seen. */
  const topicIds = new Map<string, string>();
  const arrived = arrivals();
  let told = 0;
  let telling: Promise<void> = Promise.resolve();
  let closed = true;

  async function startOf(joined: KafkaMember, topic: string, index: number): Promise<number> {
    const { offset: committed, cursor } = await resume(`${topic}:${index}`);
    // A partition that was set back to its first message has a cursor and no offset.
    if (committed >= 0 || cursor !== null) return committed + 1;
    const start = options.start ?? "earliest";
    const partition = { topic, index };
    if (start === "earliest") return (await joined.offsetAt(partition, "earliest")) ?? 0;
    // The group remembers where `latest` was: a restart before the first message loses nothing that came meanwhile.
    const known = await joined.committed(partition);
    if (known !== null) return known;
    const found = (await joined.offsetAt(partition, start)) ?? (await joined.offsetAt(partition, "latest")) ?? 0;
    await joined.commit([{ ...partition, offset: found }]);
    return found;
  }

  function forget(): void {
    assigned = null;
    partitions = new Map();
    turns = [];
    failure = null;
  }

  /** The membership; a new one if the last was given up. What was fetched under that is dropped. */
  async function membership(): Promise<KafkaMember> {
    if (closed) throw ingestionError("SOURCE_NOT_OPEN", "The Kafka source is not open.", { kind: "bug" });
    if (member?.isMember() === false) {
      const old = member;
      member = null;
      forget();
      await old.close();
    }
    member ??= await joinKafka(options);
    return member;
  }

  /** Takes over the group's present assignment. */
  async function follow(joined: KafkaMember): Promise<void> {
    const now = joined.assignments();
    if (now === assigned || now === null) return;
    const kept = new Map<string, KafkaPartition>();
    for (const { topic, partitions: indexes } of now) {
      for (const index of indexes) {
        const name = `${topic}:${index}`;
        const partition = partitions.get(name) ?? kafkaPartition(topic, index, await startOf(joined, topic, index));
        kept.set(name, partition);
      }
    }
    // Another rebalance may have come meanwhile: then nothing of this one counts.
    if (joined.assignments() !== now) return;
    partitions = kept;
    turns = [...kept.values()];
    assigned = now;
  }

  /** Asks each broker that has no fetch under way for the partitions that it leads and that run low. */
  async function pump(joined: KafkaMember): Promise<void> {
    const [most, mostBytes] = [READY_MESSAGES / turns.length, readyBytes / turns.length];
    const hungry = turns.filter(
      ({ fetching, bufferedCount, bufferedBytes }) => !fetching && bufferedCount < most && bufferedBytes < mostBytes,
    );
    if (hungry.length === 0) return;
    const metadata = await joined.metadata(false);
    const remade = [...metadata.topics].find(([topic, { id }]) => isRemade(topic, id));
    if (remade !== undefined) {
      failure ??= kafkaTopicRemade(remade[0]);
      return;
    }
    const busy = new Set(turns.filter((partition) => partition.fetching).map((p) => leaderOf(metadata, p)));
    const byLeader = Map.groupBy(hungry, (partition) => leaderOf(metadata, partition));
    for (const [node, wanted] of byLeader) {
      if (busy.has(node)) continue;
      for (const partition of wanted) partition.fetching = true;
      void fetchFrom(joined, metadata, node, wanted);
    }
  }

  function isRemade(topic: string, id: string): boolean {
    const known = topicIds.get(topic) ?? id;
    topicIds.set(topic, known);
    return known !== id;
  }

  function leaderOf(metadata: KafkaMetadata, { topic, index }: KafkaPartition): number {
    return metadata.topics.get(topic)?.partitions[index]?.leader ?? -1;
  }

  async function fetchFrom(
    joined: KafkaMember,
    metadata: KafkaMetadata,
    node: number,
    wanted: readonly KafkaPartition[],
  ): Promise<void> {
    try {
      const response = await joined.fetch(
        node,
        wanted.map(({ topic, index, next }) => ({
          topicId: metadata.topics.get(topic)?.id ?? "",
          partition: index,
          offset: next,
          leaderEpoch: metadata.topics.get(topic)?.partitions[index]?.leaderEpoch ?? -1,
        })),
      );
      const names = new Map([...metadata.topics].map(([name, topic]) => [topic.id, name]));
      await take(joined, response, names, wanted);
    } catch (error) {
      failure ??= error;
      for (const partition of wanted) noteUnanswered(partition);
      await joined.metadata(true).catch(() => {});
    } finally {
      for (const partition of wanted) partition.fetching = false;
      arrived.note();
    }
  }

  async function take(
    joined: KafkaMember,
    response: KafkaFetchResponse,
    names: ReadonlyMap<string, string>,
    wanted: readonly KafkaPartition[],
  ): Promise<void> {
    let moved = false;
    for (const topic of response.responses) {
      for (const answer of topic.partitions) {
        const name = `${names.get(topic.topicId) ?? ""}:${answer.partitionIndex}`;
        const partition = partitions.get(name);
        // A rebalance took it, or gave it anew: what was fetched is of no use.
        if (partition === undefined || !wanted.includes(partition)) continue;
        if (answer.errorCode === OFFSET_OUT_OF_RANGE) {
          throw kafkaOffsetGone(name, partition.next, Number(answer.logStartOffset));
        }
        if (answer.errorCode === TOPIC_AUTHORIZATION_FAILED) throw kafkaReadDenied(partition.topic);
        if (answer.errorCode !== 0) {
          moved = true;
          noteUnanswered(partition);
          partition.refused++;
          if (partition.refused % REFUSALS === 0) failure ??= kafkaRefused(name, answer.errorCode, REFUSALS);
          continue;
        }
        noteAnswered(partition, Number(answer.lastStableOffset >= 0n ? answer.lastStableOffset : answer.highWatermark));
        const read = readKafkaRecords(
          name,
          (answer.records ?? []) as readonly KafkaRecordsBatch[],
          answer.abortedTransactions ?? [],
          partition.next,
        );
        partition.next = read.next;
        if (read.messages.length > 0) {
          addBuffered(partition, read.messages);
        } else if (partition.bufferedCount === 0 && partition.handled > partition.handedOut) {
          partition.handled = read.next;
        }
      }
    }
    if (!moved) return;
    // The leader moved, or is being chosen.
    await pause(MOVED_MS);
    await joined.metadata(true);
  }

  function nextBatch(most: number): RawBatch | null {
    for (let i = 0; i < turns.length; i++) {
      const partition = turns[i]!;
      if (partition.bufferedCount === 0) continue;
      // Those that had their turn go to the end.
      turns.push(...turns.splice(0, i + 1));
      const messages = takeBuffered(partition, most);
      const behind = turns.reduce((sum, { bufferedCount }) => sum + bufferedCount, 0);
      return { partition: partition.name, messages, behind };
    }
    return null;
  }

  function tell(joined: KafkaMember): void {
    if (Date.now() - told < TELL_MS) return;
    told = Date.now();
    telling = tellNow(joined);
  }

  /** A member that lost the partition is refused, and that is fine: the cold store has the position that counts. */
  async function tellNow(joined: KafkaMember): Promise<void> {
    const news = turns.filter((partition) => partition.handled > partition.told && partition.handled > 0);
    if (news.length === 0) return;
    const offsets = news.map(({ topic, index, handled }) => ({ topic, index, offset: handled }));
    await joined.commit(offsets).then(
      () => {
        for (const [i, partition] of news.entries()) partition.told = offsets[i]!.offset;
      },
      () => {},
    );
  }

  return {
    capabilities: { monotonePositions: true, endless: true },
    async open(resumePosition) {
      resume = resumePosition;
      forget();
      closed = false;
      await membership();
    },
    async fetch(maxMessages, signal) {
      while (true) {
        signal.throwIfAborted();
        const joined = await membership();
        await follow(joined);
        const batch = nextBatch(maxMessages);
        await pump(joined);
        tell(joined);
        if (batch !== null) return batch;
        if (failure !== null) {
          const error = failure;
          failure = null;
          throw error;
        }
        if (turns.every((partition) => partition.bufferedCount === 0)) await arrived.next(LOOK_MS, signal);
      }
    },
    async checkpoint(name, offset) {
      const partition = partitions.get(name);
      if (partition !== undefined) noteHandled(partition, offset);
    },
    lost(name) {
      const partition = partitions.get(name);
      if (partition === undefined) return;
      partitions.delete(name);
      turns = turns.filter((other) => other !== partition);
      // If the group still gives it to this member, it is resumed from where the cold store is.
      assigned = null;
    },
    async lag() {
      return [...partitions.values()].map((partition) => lagOf(partition, Date.now()));
    },
    async close() {
      if (closed) return;
      closed = true;
      arrived.note();
      await telling;
      if (member === null) return;
      await tellNow(member);
      await member.close();
      member = null;
    },
  };
}
