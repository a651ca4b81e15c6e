import { gunzipSync } from "node:zlib";

/** The most that a compressed message may unpack to: one message must not fill the memory. */
const MOST_BYTES = 64 * 2 ** 20;

/**
 * A message's bytes, unpacked if its header `content-encoding` says gzip or, where `byMagic` (no plain message begins
 * so), if it begins as gzip does. Throws if they are no whole gzip stream, or unpack to more than 64 MiB.
 */
export function gunzipped(bytes: Buffer, headers: Readonly<Record<string, string>>, byMagic: boolean): Buffer {
  const said = headers["content-encoding"] ?? headers["Content-Encoding"];
  const looks = byMagic && bytes.length > 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (said?.toLowerCase() !== "gzip" && !looks) return bytes;
  return gunzipSync(bytes, { maxOutputLength: MOST_BYTES });
}
