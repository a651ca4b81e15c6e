/**
 * A Bloom filter of the event ids of one source: what it does not know is new, so that almost no commit has to look
 * into the stored events. It takes three bytes per event, and no more than 64 MB: beyond 22 million events it errs more
 * often, which costs time only.
 *
 * Source: the split block Bloom filter of the Parquet format.
 */
export interface KnownEventIds {
  /** How many events it is made for; with more, it errs more often. */
  readonly capacity: number;
  /** How many were added. */
  readonly size: number;
  /** Adds a hash; true if it may have been there before. */
  add(low: number, high: number): boolean;
}

const BITS_PER_EVENT = 24;
const WORDS_PER_BLOCK = 8;
const LARGEST_BYTES = 64 * 2 ** 20;
const SALTS: readonly number[] = [
  0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31,
];

/** The capacity that a filter for so many events gets at most. */
export const LARGEST_CAPACITY: number = Math.floor((LARGEST_BYTES * 8) / BITS_PER_EVENT);

export function knownEventIds(events: number): KnownEventIds {
  const capacity = Math.min(LARGEST_CAPACITY, Math.max(65_536, events));
  const blocks = Math.ceil((capacity * BITS_PER_EVENT) / (WORDS_PER_BLOCK * 32));
  const words = new Uint32Array(blocks * WORDS_PER_BLOCK);
  let size = 0;
  return {
    capacity,
    get size() {
      return size;
    },
    add(low, high) {
      const start = Math.floor(((high >>> 0) / 2 ** 32) * blocks) * WORDS_PER_BLOCK;
      let known = true;
      for (let word = 0; word < WORDS_PER_BLOCK; word++) {
        const bit = 1 << (Math.imul(low, SALTS[word]!) >>> 27);
        const at = start + word;
        if ((words[at]! & bit) === 0) {
          known = false;
          words[at]! |= bit;
        }
      }
      if (!known) size++;
      return known;
    },
  };
}
