import { MillraceError } from "../../../src/definitions/errors.ts";
import type { StoredValue, ValueKey } from "../../../src/feature_engineering/engine/feature-sink.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import type { OnlineStore } from "../../../src/feature_store/online/online-store.ts";

/** What one shard holds; never changed, so that it can be gone back to. */
interface ShardState {
  readonly values: ReadonlyMap<string, { readonly key: ValueKey; readonly value: StoredValue }>;
  readonly marks: ReadonlyMap<string, ReadonlyMap<number, number>>;
  readonly facts: ReadonlyMap<string, string>;
  readonly epoch: number;
  readonly writers: ReadonlyMap<string, number>;
}

const EMPTY: ShardState = { values: new Map(), marks: new Map(), facts: new Map(), epoch: 0, writers: new Map() };

/** A server that several stores write to, and that can lose the newest writes of a shard, as Redis does in a failover. */
export interface LosingServer {
  /** Another process's store. */
  connect(): OnlineStore;
  /** Forgets the newest `writes` steps of a shard's log, all if there are fewer. */
  lose(shard: number, writes: number): void;
  /** Calls `event` before the step that is so many steps away. */
  before(steps: number, event: () => void): void;
  /** Nothing of what was planned happens any more. */
  calm(): void;
}

export function losingServer(shards: number): LosingServer {
  const logs: ShardState[][] = Array.from({ length: shards }, () => [EMPTY]);
  const state = (shard: number): ShardState => logs[shard]!.at(-1)!;
  let planned: { left: number; event: () => void }[] = [];
  let stores = 0;

  function step(shard: number, change: (now: ShardState) => Partial<ShardState>): void {
    for (const plan of planned) if (plan.left-- === 0) plan.event();
    planned = planned.filter((plan) => plan.left >= 0);
    const now = state(shard);
    logs[shard]!.push({ ...now, ...change(now) });
  }

  function connect(): OnlineStore {
    const name = `store ${stores++}`;
    const epochs = new Array<number>(shards).fill(0);
    const sent = new Array<number>(shards).fill(0);
    let session = 0;
    let lost = true;
    const shardOf = (key: Uint8Array): number => key.reduce((sum, byte) => sum + byte, 0) % shards;
    const idOf = ({ keyspace, key }: ValueKey): string => `${keyspace}/${Buffer.from(key).toString("hex")}`;
    const rolledBack = (): Error => {
      lost = true;
      return new MillraceError("ONLINE_STORE_ROLLED_BACK", "The shard lost writes.", { kind: "operational" });
    };
    const current = (given: number): void => {
      if (lost || given !== session) throw rolledBack();
    };
    /** What the writer's step must find, and how it then counts. */
    const counted = (now: ShardState, shard: number): Pick<ShardState, "writers"> => {
      if (now.epoch !== epochs[shard] || now.writers.get(name) !== sent[shard]) throw rolledBack();
      sent[shard] = sent[shard]! + 1;
      return { writers: new Map(now.writers).set(name, sent[shard]!) };
    };
    const readOne = (key: ValueKey): StoredValue | null => {
      const found = state(shardOf(key.key)).values.get(idOf(key))?.value;
      return found === undefined ? null : { ...found, bytes: found.bytes.slice() };
    };
    return {
      ...memoryOnlineStore(),
      shards,
      shardOf,
      read: async (keys) => keys.map(readOne),
      fetch: async (keys, names) => ({
        values: keys.map(readOne),
        facts: names.map((fact) => state(0).facts.get(fact) ?? null),
      }),
      async compareAndSet(writes, given) {
        const done: boolean[] = [];
        // One step each: the worst that can be.
        for (const { keyspace, key, expectedRevision, bytes } of writes) {
          if (given !== undefined) current(given);
          const shard = shardOf(key);
          const id = idOf({ keyspace, key });
          step(shard, (now) => {
            const writers = given === undefined ? {} : counted(now, shard);
            const revision = now.values.get(id)?.value.revision ?? 0;
            done.push(revision === expectedRevision);
            if (revision !== expectedRevision) return writers;
            const values = new Map(now.values);
            if (bytes === null) values.delete(id);
            else
              values.set(id, {
                key: { keyspace, key: key.slice() },
                value: { revision: revision + 1, bytes: bytes.slice() },
              });
            return { ...writers, values };
          });
          await null;
        }
        return done;
      },
      durable: async () => {},
      readMeta: async (names) => names.map((fact) => state(0).facts.get(fact) ?? null),
      async writeMeta(changes) {
        step(0, (now) => {
          const facts = new Map(now.facts);
          for (const [fact, value] of changes) {
            if (value === null) facts.delete(fact);
            else facts.set(fact, value);
          }
          return { facts };
        });
      },
      async openSession() {
        if (!lost) return session;
        for (let shard = 0; shard < shards; shard++) {
          step(shard, (now) => {
            const known = epochs[shard]!;
            const writers = new Map(now.writers);
            let { epoch } = now;
            if (known === 0 || epoch <= known) {
              epoch = Math.max(epoch, known) + 1;
              writers.clear();
            }
            epochs[shard] = epoch;
            sent[shard] = (session + 1) * 1e6;
            return { epoch, writers: writers.set(name, sent[shard]!) };
          });
          await null;
        }
        lost = false;
        return ++session;
      },
      async checkSession(given) {
        current(given);
        for (let shard = 0; shard < shards; shard++) {
          if (state(shard).epoch !== epochs[shard] || state(shard).writers.get(name) !== sent[shard])
            throw rolledBack();
        }
      },
      async mark(marks, given) {
        for (let shard = 0; shard < shards; shard++) {
          current(given);
          step(shard, (now) => {
            const raised = new Map(now.marks);
            for (const { keyspace, partitionId, offset } of marks) {
              const offsets = new Map(raised.get(keyspace));
              raised.set(keyspace, offsets.set(partitionId, Math.max(offset, offsets.get(partitionId) ?? -1)));
            }
            return { ...counted(now, shard), marks: raised };
          });
          await null;
        }
      },
      marks: async (keyspace) =>
        Array.from({ length: shards }, (_, shard) => new Map(state(shard).marks.get(keyspace) ?? [])),
      async *scan(keyspace) {
        for (let shard = 0; shard < shards; shard++) {
          yield [...state(shard).values.values()]
            .filter(({ key }) => key.keyspace === keyspace)
            .map(({ key, value }) => ({ key: key.key, value }));
        }
      },
    };
  }

  return {
    connect,
    lose(shard, writes) {
      const log = logs[shard]!;
      log.splice(Math.max(1, log.length - writes));
    },
    before: (left, event) => void planned.push({ left, event }),
    calm() {
      planned = [];
    },
  };
}
