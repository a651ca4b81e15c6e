import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { isMillraceError, type MillraceError } from "../../definitions/errors.ts";
import type { PackedLightgbm } from "./lightgbm-model.ts";
import { type PackKind, packNow } from "./pack-model.ts";
import type { PackedXgboost } from "./xgboost-model.ts";

export interface PackRequest {
  readonly kind: PackKind;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface PackAnswer {
  readonly packed: PackedXgboost | PackedLightgbm | null;
  readonly error?: Pick<MillraceError, "code" | "message" | "kind" | "details">;
}

/** Of "nice": a tenth of what an ordinary thread gets of a core that both want. */
const BELOW_OTHERS = 10;

const port = parentPort!;
// Requests go first. Linux alone has a priority for each thread; elsewhere it would be that of the whole process.
if (process.platform === "linux") setPriority(BELOW_OTHERS);
port.once("message", ({ kind, bytes }: PackRequest) => {
  const answer = pack(kind, bytes);
  port.postMessage(answer, buffersOf(answer.packed));
});

function pack(kind: PackKind, bytes: Uint8Array): PackAnswer {
  try {
    return { packed: packNow(kind, bytes) };
  } catch (error) {
    const {
      code,
      kind: whose,
      details,
    } = isMillraceError(error) ? error : { code: "INTERNAL", kind: "bug" as const, details: {} };
    const message = error instanceof Error ? error.message : String(error);
    return { packed: null, error: { code, kind: whose, details, message } };
  }
}

/** The memory of the trees, which is moved instead of copied. */
function buffersOf(packed: PackAnswer["packed"]): ArrayBuffer[] {
  const found = new Set<ArrayBuffer>();
  for (const value of Object.values(packed?.ensemble ?? {})) {
    if (ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer) found.add(value.buffer);
  }
  return [...found];
}
