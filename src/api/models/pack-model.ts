import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { millraceError } from "../../definitions/errors.ts";
import { type PackedLightgbm, packLightgbm } from "./lightgbm-model.ts";
import { modelError } from "./model-errors.ts";
import type { PackAnswer, PackRequest } from "./pack-model-worker.ts";
import { type PackedXgboost, packXgboost } from "./xgboost-model.ts";

/** Which library's file, and how much of it. */
export type PackKind =
  | { readonly flavor: "xgboost"; readonly iterations: "all" | "best" }
  | { readonly flavor: "lightgbm" };
export type Packed<K extends PackKind> = K extends { readonly flavor: "xgboost" } ? PackedXgboost : PackedLightgbm;

/** Files above this size take long enough to parse that requests would feel it (about 2 ms); bytes. */
const LARGE_BYTES = 64 * 1024;

/**
 * Parses and packs a model's file: small ones at once, others on a thread of their own, so that the calling thread goes
 * on answering. `bytes` must not be used afterwards.
 * @throws MODEL_CORRUPT, MODEL_UNSUPPORTED, MODEL_TOO_LARGE
 */
export async function packModel<K extends PackKind>(kind: K, bytes: Uint8Array): Promise<Packed<K>> {
  // The type says which of both it is.
  if (bytes.length <= LARGE_BYTES) return packNow(kind, bytes) as Packed<K>;
  const worker = new Worker(workerFile(), { name: "millrace-model-loading" });
  try {
    const answer = await new Promise<PackAnswer>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", (error: unknown) => reject(threadFailure(error)));
      worker.once("exit", (code) => reject(threadFailure(`exit code ${code}`)));
      // Of its own memory, so that it can be moved.
      const own = bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
      const request: PackRequest = { kind, bytes: own as Uint8Array<ArrayBuffer> };
      worker.postMessage(request, [request.bytes.buffer]);
    });
    if (answer.error !== undefined) throw millraceError(answer.error.code, answer.error.message, answer.error);
    return answer.packed as Packed<K>;
  } finally {
    await worker.terminate();
  }
}

export function packNow(kind: PackKind, bytes: Uint8Array): PackedXgboost | PackedLightgbm {
  return kind.flavor === "xgboost" ? packXgboost(bytes, kind.iterations) : packLightgbm(bytes);
}

function threadFailure(error: unknown): Error {
  const why = error instanceof Error ? error.message : String(error);
  const isMemory = error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
  return modelError(
    isMemory ? "MODEL_TOO_LARGE" : "MODEL_RUN_FAILED",
    `The thread that loads a model ended: ${why}.`,
    isMemory ? {} : { kind: "operational" },
  );
}

/** Beside this file: TypeScript in the repository, JavaScript where it was built. */
function workerFile(): string {
  const typescript = fileURLToPath(new URL("./pack-model-worker.ts", import.meta.url));
  return existsSync(typescript) ? typescript : typescript.replace(/\.ts$/, ".js");
}
