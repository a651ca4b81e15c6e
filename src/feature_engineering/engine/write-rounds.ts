import type { AppliedPositions } from "./applied-positions.ts";
import type { SourceClock } from "./source-clock.ts";
import type { ViewFolder } from "./view-folder.ts";

export interface WriteRoundsOptions {
  readonly folders: readonly ViewFolder[];
  readonly clock: SourceClock;
  readonly positions: AppliedPositions;
  /** Writes cost less in the order of their keys' bytes. */
  readonly sorted: boolean;
  /** Monotone seconds. */
  readonly seconds: () => number;
  /** Values changed and not written, at most, before another waiting batch is folded onto them. Default 400,000. */
  readonly writeValues?: number;
  /** Folded events that are kept, to be folded again where another writer changed a value. Default 32,000. */
  readonly keptEvents?: number;
  /** Batches that are being committed, or wait to be folded. */
  readonly waiting: () => number;
  /** Runs a write behind what is folding, unless a repair comes before. */
  readonly writeLater: (write: () => Promise<void>) => void;
}

/** When values that were folded are written to the hot store: at once while events are live, seldom while a backlog waits. */
export interface WriteRounds {
  /** The last offset that is folded and not written; undefined if everything is written. */
  folded(partitionId: number): number | undefined;
  /** Whether something is folded and not written. */
  isBehind(): boolean;
  /** Notes that a batch of so many events was folded, since when. */
  note(partitionId: number, lastOffset: number, events: number, since: number): void;
  /** Writes what is due after a batch of so many events, with so many behind it: everything, a part, or nothing yet. */
  writeDue(events: number, behind: number): Promise<void>;
  writeAll(): Promise<void>;
  /** Whether nobody will come and write what is folded. */
  isLeft(): boolean;
  /** Values written, and the seconds that took, since it was asked last. */
  counts(): { readonly writes: number; readonly writeSeconds: number };
  /** What was folded and not written is forgotten. */
  reset(): void;
}

/**
 * Values changed and not written, at most, before they begin to be written beside the next batches, and for how long: the
 * more, the fewer writes of a value that many events change. Only while a backlog is worked off.
 */
const WRITE_VALUES = 400_000;
const WRITE_SECONDS = 10;
const KEPT_EVENTS = 32_000;
/** How long after a conflict other writers are reckoned with, seconds. */
const CONTENDED_SECONDS = 60;
/**
 * So many events in a batch, or behind it, are a backlog: more of it is waited for, so long in milliseconds; longer if
 * the source says that it is there.
 */
const BACKLOG = 4_000;
const WAIT_MS = 250;
const WAIT_BEHIND_MS = 1_000;

/** Values that are written in parts, those that were changed first before others. */
interface Round {
  /** Per partition id, what was folded when it began. */
  readonly upTo: ReadonlyMap<number, number>;
  /** How many events that was, and when. */
  readonly events: number;
  readonly since: number;
  /** Of each view, how many of the values changed by then are not written yet. */
  readonly left: number[];
}

export function createWriteRounds(options: WriteRoundsOptions): WriteRounds {
  const { folders, clock, positions, sorted, seconds, waiting } = options;
  const { writeValues = WRITE_VALUES, keptEvents = KEPT_EVENTS } = options;
  /** Per partition id: the last offset that is folded and not written. */
  const unwritten = new Map<number, number>();
  let unwrittenEvents = 0;
  let unwrittenSince = 0;
  /** While a backlog is folded on: what is being written of it, a part after each batch. */
  let round: Round | null = null;
  let wroteAt = Number.NEGATIVE_INFINITY;
  /** Until a backlog's next batch. */
  let writing: NodeJS.Timeout | null = null;
  let contendedAt = Number.NEGATIVE_INFINITY;
  /** Since the last batch was told of. */
  let writes = 0;
  let writeSeconds = 0;

  const unwrittenValues = (): number => folders.reduce((sum, folder) => sum + folder.unwritten, 0);
  const conflictsSeen = (): number => folders.reduce((sum, folder) => sum + folder.conflicts, 0);

  /** Unless a backlog's next batch, which is still being decoded by this very thread, is here before. */
  function writeWithin(ms: number): void {
    writing = setTimeout(() => {
      writing = null;
      if (waiting() === 0 && unwritten.size > 0) options.writeLater(writeAll);
    }, ms).unref();
  }

  function waitNoLonger(): void {
    if (writing !== null) clearTimeout(writing);
    writing = null;
  }

  async function writeAll(): Promise<void> {
    waitNoLonger();
    await timed(async () => {
      for (const folder of folders) writes += await folder.write(clock.now(), positions.prunable);
    });
    if (unwrittenEvents > 0) await clock.write();
    positions.noteWritten(unwritten);
    unwritten.clear();
    unwrittenEvents = 0;
    round = null;
    positions.flushWhenDue();
  }

  /**
   * Writes some of the values that were changed when the round began: all at once would keep the next commits waiting
   * meanwhile, and the cold store idle.
   */
  async function writePart(most: number): Promise<void> {
    round ??= {
      upTo: new Map(unwritten),
      events: unwrittenEvents,
      since: seconds(),
      left: folders.map((folder) => folder.unwritten),
    };
    const current = round;
    await timed(async () => {
      let room = most;
      for (const [index, folder] of folders.entries()) {
        const part = Math.min(room, current.left[index]!);
        if (part === 0) continue;
        writes += await folder.write(clock.now(), positions.prunable, part);
        current.left[index]! -= part;
        room -= part;
      }
    });
    if (current.left.some((count) => count > 0)) return;
    await clock.write();
    positions.noteWritten(current.upTo);
    for (const [partitionId, offset] of current.upTo) {
      if (unwritten.get(partitionId) === offset) unwritten.delete(partitionId);
    }
    unwrittenEvents -= current.events;
    unwrittenSince = current.since;
    round = null;
    positions.flushWhenDue();
  }

  async function timed(run: () => Promise<void>): Promise<void> {
    const started = seconds();
    const conflicts = conflictsSeen();
    try {
      await run();
    } finally {
      if (conflictsSeen() > conflicts) contendedAt = seconds();
    }
    wroteAt = seconds();
    writeSeconds += wroteAt - started;
  }

  return {
    folded: (partitionId) => unwritten.get(partitionId),
    isBehind: () => unwritten.size > 0,
    note(partitionId, lastOffset, events, since) {
      if (unwritten.size === 0) unwrittenSince = since;
      unwritten.set(partitionId, lastOffset);
      unwrittenEvents += events;
    },
    async writeDue(events, behind) {
      const isContended = seconds() - contendedAt < CONTENDED_SECONDS;
      const isMany = isContended ? unwrittenEvents >= keptEvents : unwrittenValues() >= writeValues;
      const enough = isMany || seconds() - unwrittenSince >= WRITE_SECONDS;
      if (!isContended && unwrittenEvents > keptEvents) for (const folder of folders) folder.forgetEvents();
      waitNoLonger();
      const isBacklog = waiting() > 0 || events >= BACKLOG || behind >= BACKLOG;
      if (!isBacklog || (enough && (isContended || sorted))) await writeAll();
      else if (enough || round !== null) await writePart(Math.max(events, unwrittenValues() - writeValues));
      if (unwritten.size > 0 && waiting() === 0) writeWithin(behind < BACKLOG ? WAIT_MS : WAIT_BEHIND_MS);
    },
    writeAll,
    isLeft() {
      const standsStill = seconds() - Math.max(unwrittenSince, wroteAt) >= WRITE_SECONDS;
      return (waiting() === 0 && writing === null) || standsStill;
    },
    counts() {
      const since = { writes, writeSeconds };
      writes = 0;
      writeSeconds = 0;
      return since;
    },
    reset() {
      unwritten.clear();
      unwrittenEvents = 0;
      round = null;
    },
  };
}
