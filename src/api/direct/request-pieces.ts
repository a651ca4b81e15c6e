/** A request that came in pieces, as one. */
export interface WholeRequest {
  readonly bytes: Buffer;
  /** It is not read any more. */
  release(): void;
}

/** Below this many bytes memory of its own costs nothing. */
const SMALL_BYTES = 65_536;
/** What is kept for later requests: so many at once were read before their answers were there. */
const MOST_KEPT = 8;
const MOST_KEPT_BYTES = 2 ** 21;
const kept: Buffer[] = [];

/**
 * Joins the pieces in memory that is used again, and gives theirs back at once: to the garbage collector large bodies are
 * memory of another kind, for which it looks through the whole heap every few dozen of them.
 */
export function joinPieces(pieces: readonly Buffer[]): WholeRequest {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (length <= SMALL_BYTES) return { bytes: Buffer.concat(pieces, length), release() {} };
  const found = kept.findIndex((buffer) => buffer.length >= length);
  const room = found < 0 ? Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(length))) : kept.splice(found, 1)[0]!;
  let at = 0;
  for (const piece of pieces) {
    room.set(piece, at);
    at += piece.length;
    free(piece);
  }
  return {
    bytes: room.subarray(0, length),
    release() {
      if (room.length > MOST_KEPT_BYTES) free(room);
      else if (kept.length < MOST_KEPT) kept.push(room);
    },
  };
}

/** Of a buffer with memory of its own, as those that sockets read into. */
function free({ buffer, byteOffset, length }: Buffer): void {
  if (byteOffset !== 0 || length !== buffer.byteLength || length < Buffer.poolSize) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
