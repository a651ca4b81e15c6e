import type { PartitionLeases as StoreLeases } from "../feature_store/offline/partition-leases.ts";
import type { OwnPartition, PartitionLeases } from "../ingestion/partition-leases.ts";

export interface SharedLeasesOptions {
  /** The cold store's. */
  readonly leases: StoreLeases;
  readonly source: string;
  /** Names this process; no other has the name. */
  readonly holder: string;
  /** How long a process that fell silent keeps what it had, milliseconds. Default 15,000. */
  readonly forMs?: number;
}

const LEASE_MS = 15_000;
/** Under this name a process that holds nothing yet says that it is there. */
const MEMBER = "member:";

/**
 * Shares the partitions of a source fairly among the processes that ask: each holds at least the whole part of its
 * share, and one more at most. Who has too many gives some up when another has too few.
 */
export function sharedLeases({ leases, source, holder, forMs = LEASE_MS }: SharedLeasesOptions): PartitionLeases {
  let mine = new Set<string>();

  async function giveUp(partition: string): Promise<void> {
    mine.delete(partition);
    await leases.release(source, partition, holder);
  }

  return {
    async balance(partitions) {
      await leases.claim(source, `${MEMBER}${holder}`, holder, forMs);
      const kept = new Set<string>();
      for (const partition of mine) {
        if (!partitions.includes(partition)) await leases.release(source, partition, holder);
        else if (await leases.renew(source, partition, holder, forMs)) kept.add(partition);
      }
      mine = kept;
      const held = await leases.holders(source);
      const counts = new Map<string, number>();
      for (const [partition, who] of held) if (partition.startsWith(MEMBER)) counts.set(who, 0);
      for (const partition of partitions) {
        const who = held.get(partition);
        if (who !== undefined) counts.set(who, (counts.get(who) ?? 0) + 1);
      }
      const share = partitions.length / Math.max(1, counts.size);
      const starves = [...counts].some(([who, count]) => who !== holder && count < Math.floor(share));
      const most = starves ? Math.floor(share) : Math.ceil(share);
      for (const partition of [...mine].slice(Math.max(most, 0))) await giveUp(partition);
      for (const partition of partitions) {
        if (mine.size >= Math.ceil(share) || (starves && mine.size >= most)) break;
        if (held.has(partition)) continue;
        if (await leases.claim(source, partition, holder, forMs)) mine.add(partition);
      }
      return new Set(mine);
    },
    async release() {
      for (const partition of [...mine]) await giveUp(partition);
      await leases.release(source, `${MEMBER}${holder}`, holder);
    },
  };
}

/** One of the partitions `<prefix>0`, `<prefix>1`, … for this process alone. */
export function leasedPartition(options: SharedLeasesOptions & { readonly prefix: string }): OwnPartition {
  const { leases, source, holder, prefix, forMs = LEASE_MS } = options;
  let held: string | null = null;
  return {
    async take() {
      held = await leases.acquire(source, prefix, holder, forMs);
      return held;
    },
    keep: async () => held !== null && leases.renew(source, held, holder, forMs),
    async release() {
      if (held !== null) await leases.release(source, held, holder);
      held = null;
    },
  };
}
