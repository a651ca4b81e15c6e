import type { KeyedRecord } from "./replay-file.ts";

/** Records in ascending key order, that can be read from their start. */
export interface SortedRun {
  /** The key of its first record; it is not opened before the merge comes to that. */
  readonly firstKey: number;
  open(): AsyncIterator<readonly KeyedRecord[]>;
}

interface Head {
  /** The run's place in the list: decides between equal keys. */
  readonly order: number;
  readonly run: SortedRun;
  key: number;
  iterator: AsyncIterator<readonly KeyedRecord[]> | null;
  block: readonly KeyedRecord[];
  at: number;
}

const BLOCK_RECORDS = 1024;

function before(a: Head, b: Head): boolean {
  return a.key < b.key || (a.key === b.key && a.order < b.order);
}

/** Restores a binary heap (least first) after its root changed. */
function siftDown(heap: Head[], start: number): void {
  let at = start;
  for (;;) {
    const left = 2 * at + 1;
    const right = left + 1;
    let least = at;
    if (left < heap.length && before(heap[left]!, heap[least]!)) least = left;
    if (right < heap.length && before(heap[right]!, heap[least]!)) least = right;
    if (least === at) return;
    [heap[at], heap[least]] = [heap[least]!, heap[at]!];
    at = least;
  }
}

/** Makes the head's next record current; false at the end of its run. */
async function advance(head: Head): Promise<boolean> {
  head.iterator ??= head.run.open();
  for (;;) {
    const next = await head.iterator.next();
    if (next.done === true) return false;
    if (next.value.length === 0) continue;
    head.block = next.value;
    head.at = 0;
    head.key = next.value[0]!.key;
    return true;
  }
}

/**
 * All records of the runs in key order, in blocks; equal keys in the order of the runs. Holds one block per open run,
 * and opens a run only when its first key is reached, so that files that follow one another are open one at a time.
 */
export async function* mergeRuns(runs: readonly SortedRun[]): AsyncGenerator<readonly KeyedRecord[]> {
  const heap = runs.map((run, order): Head => ({ order, run, key: run.firstKey, iterator: null, block: [], at: 0 }));
  for (let i = (heap.length >> 1) - 1; i >= 0; i--) siftDown(heap, i);
  let out: KeyedRecord[] = [];
  try {
    while (heap.length > 0) {
      const head = heap[0]!;
      if (head.at >= head.block.length) {
        if (!(await advance(head))) {
          const last = heap.pop()!;
          if (heap.length > 0) heap[0] = last;
        }
        siftDown(heap, 0);
        continue;
      }
      const other = heap.length > 2 && before(heap[2]!, heap[1]!) ? heap[2]! : heap[1];
      // Whatever this run has before the next best head goes out without touching the heap.
      const { block, order } = head;
      let at = head.at;
      while (
        at < block.length &&
        (other === undefined || block[at]!.key < other.key || (block[at]!.key === other.key && order < other.order))
      ) {
        out.push(block[at]!);
        at++;
      }
      head.at = at;
      if (at < block.length) head.key = block[at]!.key;
      siftDown(heap, 0);
      if (out.length >= BLOCK_RECORDS) {
        yield out;
        out = [];
      }
    }
    if (out.length > 0) yield out;
  } finally {
    for (const head of heap) await head.iterator?.return?.();
  }
}
