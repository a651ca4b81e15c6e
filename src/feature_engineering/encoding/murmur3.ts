/**
 * MurmurHash3_x86_128 of `bytes` from `start` to before `end`. The four words go to `out` in the reference's order:
 * its 16 output bytes are the words in little endian. Not cryptographic.
 *
 * Source: Austin Appleby, SMHasher, `MurmurHash3.cpp` (public domain).
 */
export function murmur3(bytes: Uint8Array, start: number, end: number, seed: number, out: Uint32Array): void {
  const length = end - start;
  const blocksEnd = start + (length & ~15);
  let h1 = seed | 0;
  let h2 = h1;
  let h3 = h1;
  let h4 = h1;
  let at = start;
  for (; at < blocksEnd; at += 16) {
    h1 ^= mixK1(word(bytes, at));
    h1 = (((h1 << 19) | (h1 >>> 13)) + h2) | 0;
    h1 = (Math.imul(h1, 5) + 0x561ccd1b) | 0;
    h2 ^= mixK2(word(bytes, at + 4));
    h2 = (((h2 << 17) | (h2 >>> 15)) + h3) | 0;
    h2 = (Math.imul(h2, 5) + 0x0bcaa747) | 0;
    h3 ^= mixK3(word(bytes, at + 8));
    h3 = (((h3 << 15) | (h3 >>> 17)) + h4) | 0;
    h3 = (Math.imul(h3, 5) + 0x96cd1c35) | 0;
    h4 ^= mixK4(word(bytes, at + 12));
    h4 = (((h4 << 13) | (h4 >>> 19)) + h1) | 0;
    h4 = (Math.imul(h4, 5) + 0x32ac3b17) | 0;
  }
  // The reference mixes the tail's words from the last to the first, each into a state of its own, so the order is free.
  if (at < end) h1 ^= mixK1(partialWord(bytes, at, end));
  if (at + 4 < end) h2 ^= mixK2(partialWord(bytes, at + 4, end));
  if (at + 8 < end) h3 ^= mixK3(partialWord(bytes, at + 8, end));
  if (at + 12 < end) h4 ^= mixK4(partialWord(bytes, at + 12, end));

  h1 ^= length;
  h2 ^= length;
  h3 ^= length;
  h4 ^= length;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = (h2 + h1) | 0;
  h3 = (h3 + h1) | 0;
  h4 = (h4 + h1) | 0;
  h1 = finalMix(h1);
  h2 = finalMix(h2);
  h3 = finalMix(h3);
  h4 = finalMix(h4);
  h1 = (h1 + h2 + h3 + h4) | 0;
  out[0] = h1;
  out[1] = h2 + h1;
  out[2] = h3 + h1;
  out[3] = h4 + h1;
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function partialWord(bytes: Uint8Array, at: number, end: number): number {
  if (at + 4 <= end) return word(bytes, at);
  let result = bytes[at]!;
  if (at + 1 < end) result |= bytes[at + 1]! << 8;
  if (at + 2 < end) result |= bytes[at + 2]! << 16;
  return result;
}

function mixK1(word: number): number {
  const k = Math.imul(word, 0x239b961b);
  return Math.imul((k << 15) | (k >>> 17), 0xab0e9789);
}

function mixK2(word: number): number {
  const k = Math.imul(word, 0xab0e9789);
  return Math.imul((k << 16) | (k >>> 16), 0x38b34ae5);
}

function mixK3(word: number): number {
  const k = Math.imul(word, 0x38b34ae5);
  return Math.imul((k << 17) | (k >>> 15), 0xa1e38b93);
}

function mixK4(word: number): number {
  const k = Math.imul(word, 0xa1e38b93);
  return Math.imul((k << 18) | (k >>> 14), 0x239b961b);
}

function finalMix(state: number): number {
  let h = state ^ (state >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
