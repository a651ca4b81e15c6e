/** Many small byte blocks in few large arrays: an array of its own for each would cost several times its bytes. */
export interface ByteArena {
  /**
   * A block for `length` bytes that begins with what the old block held, as far as it fits; the old one is given back.
   * Address 0 is no block, which is what a block of no bytes is.
   */
  resize(address: number, oldLength: number, length: number): number;
  /** The array that the block is in, and where it begins there: valid until the next `resize`. */
  chunkOf(address: number): Uint8Array;
  startOf(address: number): number;
  /** How many bytes the arrays take. */
  readonly bytes: number;
}

/** Blocks begin at multiples of it, so that 32 bits address 64 GiB. */
const GRAIN = 16;
const CHUNK = 2 ** 20;
const CHUNK_GRAINS = CHUNK / GRAIN;
export function createByteArena(): ByteArena {
  const chunks: Uint8Array[] = [];
  /** Per size in grains, the blocks that were given back. */
  const free = new Map<number, number[]>();
  // Address 0 is taken.
  let next = CHUNK_GRAINS;

  function take(grains: number): number {
    const again = free.get(grains)?.pop();
    if (again !== undefined) return again;
    const left = (chunks.length + 1) * CHUNK_GRAINS - next;
    if (left < grains) {
      next = (chunks.length + 1) * CHUNK_GRAINS;
      // A block longer than a chunk has an array of its own, which stands for several chunks.
      const count = Math.ceil(grains / CHUNK_GRAINS);
      const array = new Uint8Array(count * CHUNK);
      for (let i = 0; i < count; i++) chunks.push(array);
    }
    const address = next;
    next += grains;
    return address;
  }

  function giveBack(address: number, grains: number): void {
    const list = free.get(grains);
    if (list === undefined) free.set(grains, [address]);
    else list.push(address);
  }

  const chunkOf = (address: number): Uint8Array => chunks[Math.floor(address / CHUNK_GRAINS) - 1]!;
  const startOf = (address: number): number => (address % CHUNK_GRAINS) * GRAIN;
  return {
    resize(address, oldLength, length) {
      const before = grainsOf(oldLength);
      const after = grainsOf(length);
      if (before === after) return address;
      const moved = after === 0 ? 0 : take(after);
      if (before > 0) {
        if (after > 0) {
          const from = startOf(address);
          const kept = Math.min(oldLength, length);
          chunkOf(moved).set(chunkOf(address).subarray(from, from + kept), startOf(moved));
        }
        giveBack(address, before);
      }
      return moved;
    },
    chunkOf,
    startOf,
    get bytes() {
      return chunks.length * CHUNK;
    },
  };
}

/** Sizes are few, a quarter apart at most, so that what is given back is used again. */
function grainsOf(length: number): number {
  const grains = Math.ceil(length / GRAIN);
  if (grains <= 8) return grains;
  const step = 2 ** (29 - Math.clz32(grains - 1));
  return Math.ceil(grains / step) * step;
}
