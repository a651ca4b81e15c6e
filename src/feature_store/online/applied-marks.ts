import type { AppliedMark } from "../../feature_engineering/engine/feature-sink.ts";

/** Marks of a store with one shard, kept as facts: one per key space. */
export const markFacts: {
  nameOf(keyspace: string): string;
  /** The offset by partition that a fact's text says. */
  parse(text: string | null): Map<number, number>;
  /** The changed facts: `read` gives a fact's text, and offsets never move backwards. */
  raise(marks: readonly AppliedMark[], read: (name: string) => string | null): Map<string, string>;
} = {
  nameOf: (keyspace) => `mark/${keyspace}`,
  parse(text) {
    return new Map(text === null ? [] : (JSON.parse(text) as [number, number][]));
  },
  raise(marks, read) {
    const facts = new Map<string, string>();
    for (const keyspace of new Set(marks.map((mark) => mark.keyspace))) {
      const name = markFacts.nameOf(keyspace);
      const offsets = markFacts.parse(read(name));
      for (const mark of marks) {
        if (mark.keyspace !== keyspace) continue;
        offsets.set(mark.partitionId, Math.max(mark.offset, offsets.get(mark.partitionId) ?? -1));
      }
      facts.set(name, JSON.stringify([...offsets]));
    }
    return facts;
  },
};
