import { apiKeys, isLive } from "../api/auth/api-keys.ts";
import type { ResolvedConfig } from "../config/config.ts";
import { millraceError } from "../definitions/errors.ts";

/** A server that nobody could call is a mistake. @throws `KEYS_MISSING` */
export async function requireKey({ keysFile, host }: ResolvedConfig["server"]): Promise<void> {
  if ((await apiKeys(keysFile).list()).some((key) => isLive(key, Date.now()))) return;
  throw millraceError(
    "KEYS_MISSING",
    `The server would listen on ${host}, asks for API keys, and ${keysFile} has none that is valid: make one with 'millrace keys create --scope predict read', or set server.requireKeys to false (MILLRACE_REQUIRE_KEYS=false) if whoever reaches this address may read and predict.`,
  );
}
