import { describe, expect, test } from "vitest";
import { murmur3 } from "../../../src/feature_engineering/encoding/murmur3.ts";

function hex(text: string, seed: number): string {
  const bytes = new TextEncoder().encode(text);
  const words = new Uint32Array(4);
  murmur3(bytes, 0, bytes.length, seed, words);
  return [...words].map((word) => word.toString(16).padStart(8, "0")).join("");
}

describe("murmur3", () => {
  // SMHasher's VerificationTest: the hash of the hashes of 0, 1, … 255 bytes, each with the seed 256 − length.
  test("has the verification value of the reference implementation", () => {
    const key = Uint8Array.from({ length: 256 }, (_, index) => index);
    const hashes = new Uint8Array(256 * 16);
    const view = new DataView(hashes.buffer);
    const words = new Uint32Array(4);
    for (let length = 0; length < 256; length++) {
      murmur3(key, 0, length, 256 - length, words);
      for (const [index, word] of words.entries()) view.setUint32(length * 16 + index * 4, word, true);
    }
    murmur3(hashes, 0, hashes.length, 0, words);
    expect(words[0]).toBe(0xb3ece62a);
  });

  test("hashes nothing to zeros, and single texts as published", () => {
    expect(hex("", 0)).toBe("00000000000000000000000000000000");
    expect(hex("I will not buy this record, it is scratched.", 0)).toBe("a0a9683b25ac5e40d9af2895890dddf5");
  });

  test("hashes the range, not the array", () => {
    const bytes = new TextEncoder().encode("--I will not buy this tobacconist's, it is scratched.--");
    const whole = new Uint32Array(4);
    const part = new Uint32Array(4);
    murmur3(bytes.slice(2, -2), 0, bytes.length - 4, 7, whole);
    murmur3(bytes, 2, bytes.length - 2, 7, part);
    expect(part).toStrictEqual(whole);
  });
});
