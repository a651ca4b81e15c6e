/**
 * Which process writes which internal partition (`http:0`, `http:1`, …) of a source. A lease says who may `own` one,
 * and ends by itself if it is not renewed; the epoch that `own` raises keeps out a holder that did not notice.
 */
export interface PartitionLeases {
  /**
   * Takes the first of the partitions `<prefix>0`, `<prefix>1`, … that nobody holds, for so many milliseconds. A holder
   * that has one of them gets it again. The name of a holder is one process's own.
   */
  acquire(source: string, prefix: string, holder: string, forMs: number): Promise<string>;
  /** Takes the partition of that name, for so many milliseconds, if nobody else holds it: true if `holder` has it now. */
  claim(source: string, partition: string, holder: string, forMs: number): Promise<boolean>;
  /** Who holds which partition of the source now. */
  holders(source: string): Promise<ReadonlyMap<string, string>>;
  /** False if the lease has ended: then the holder must stop writing and may acquire again. */
  renew(source: string, partition: string, holder: string, forMs: number): Promise<boolean>;
  /** Gives it back; nothing happens if another holds it. */
  release(source: string, partition: string, holder: string): Promise<void>;
}

/** What `acquire` takes; `held` are the holders of leases that have not ended, by partition. */
export function firstFreeLease(prefix: string, holder: string, held: ReadonlyMap<string, string>): string {
  for (let number = 0; ; number++) {
    const partition = `${prefix}${number}`;
    const other = held.get(partition);
    if (other === undefined || other === holder) return partition;
  }
}

/** Leases within one process, by its own clock. */
export function memoryLeases(checkOpen: () => void): PartitionLeases {
  const sources = new Map<string, Map<string, { readonly holder: string; readonly expiresAt: number }>>();

  function heldOf(source: string): Map<string, { readonly holder: string; readonly expiresAt: number }> {
    checkOpen();
    const leases = sources.get(source) ?? new Map<string, { readonly holder: string; readonly expiresAt: number }>();
    sources.set(source, leases);
    for (const [partition, { expiresAt }] of leases) if (expiresAt <= Date.now()) leases.delete(partition);
    return leases;
  }

  return {
    async acquire(source, prefix, holder, forMs) {
      const held = heldOf(source);
      const holders = new Map([...held].map(([partition, lease]) => [partition, lease.holder]));
      const partition = firstFreeLease(prefix, holder, holders);
      held.set(partition, { holder, expiresAt: Date.now() + forMs });
      return partition;
    },
    async claim(source, partition, holder, forMs) {
      const held = heldOf(source);
      if ((held.get(partition)?.holder ?? holder) !== holder) return false;
      held.set(partition, { holder, expiresAt: Date.now() + forMs });
      return true;
    },
    holders: async (source) => new Map([...heldOf(source)].map(([partition, { holder }]) => [partition, holder])),
    async renew(source, partition, holder, forMs) {
      const held = heldOf(source);
      if (held.get(partition)?.holder !== holder) return false;
      held.set(partition, { holder, expiresAt: Date.now() + forMs });
      return true;
    },
    async release(source, partition, holder) {
      const held = heldOf(source);
      if (held.get(partition)?.holder === holder) held.delete(partition);
    },
  };
}
