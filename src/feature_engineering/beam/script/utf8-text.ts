import { readUtf8 } from "../../encoding/utf8.ts";

const SHORT = 16_384;

/** The text of UTF-8 bytes; invalid sequences become U+FFFD, as the WHATWG's decoder has it, or are refused. */
export function utf8Text(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
  invalid: "replace" | "refuse" = "replace",
): string {
  let text = "";
  let at = start;
  // Runs of ASCII at once.
  while (at < end) {
    let stop = at;
    while (stop < end && stop - at < SHORT && bytes[stop]! < 0x80) stop++;
    if (stop > at) {
      text += readUtf8(bytes, at, stop);
      at = stop;
      continue;
    }
    const first = bytes[at++]!;
    const more = first < 0xc2 || first > 0xf4 ? 0 : first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    let point = first & (more === 3 ? 7 : more === 2 ? 15 : 31);
    let least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    let most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    let left = more;
    while (left > 0 && at < end && bytes[at]! >= least && bytes[at]! <= most) {
      point = (point << 6) | (bytes[at++]! & 63);
      left--;
      least = 0x80;
      most = 0xbf;
    }
    const isWhole = more > 0 && left === 0;
    if (!isWhole && invalid === "refuse") throw new TypeError("it has text that is not UTF-8");
    text += isWhole ? String.fromCodePoint(point) : "\ufffd";
  }
  return text;
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES: ReadonlyMap<number, number> = new Map([
  ...[...DIGITS].map((digit, value) => [digit.charCodeAt(0), value] as const),
  ["-".charCodeAt(0), 62],
  ["_".charCodeAt(0), 63],
]);

/** The bytes of Base64 in either alphabet, up to the first `=`; other characters count for nothing. */
export function base64Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((text.length * 3) / 4));
  let length = 0;
  let buffer = 0;
  let bits = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 61) break;
    const value = VALUES.get(code);
    if (value === undefined) continue;
    buffer = ((buffer << 6) | value) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[length++] = (buffer >> bits) & 255;
  }
  return bytes.subarray(0, length);
}
