import { join, resolve } from "node:path";
import { millraceError } from "../definitions/errors.ts";

/** Who may call the server. */
export interface SecurityConfig {
  /**
   * Ask for API keys. Default: on every address but this machine's own (127.0.0.1, ::1, localhost); `false` there lets
   * anyone in who reaches the server. `MILLRACE_REQUIRE_KEYS`
   */
  readonly requireKeys?: boolean;
  /** The file of API keys, hashed; default `api-keys.json` in the data folder. `MILLRACE_KEYS_FILE` */
  readonly keysFile?: string;
  /** Requests per second of one key, above which 429 is answered. Default: no limit. `MILLRACE_RATE_LIMIT` */
  readonly rateLimit?: number;
  /** Origins whose pages may call, "https://app.example.com". Default: none. `MILLRACE_CORS_ORIGINS`, by commas */
  readonly corsOrigins?: readonly string[];
}

export interface ResolvedSecurity {
  readonly requireKeys: boolean;
  /** Absolute. */
  readonly keysFile: string;
  /** Absolute; JSON lines. */
  readonly auditFile: string;
  readonly rateLimit: number | null;
  readonly corsOrigins: readonly string[];
}

export const SECURITY_NAMES: readonly string[] = ["requireKeys", "keysFile", "rateLimit", "corsOrigins"];
export const SECURITY_VARIABLES: readonly string[] = [
  "MILLRACE_REQUIRE_KEYS",
  "MILLRACE_KEYS_FILE",
  "MILLRACE_RATE_LIMIT",
  "MILLRACE_CORS_ORIGINS",
];
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i;

/** Fills in and checks the security part of `server`. `data` is absolute. @throws `CONFIG_INVALID` */
export function resolveSecurity(
  given: SecurityConfig | undefined,
  env: Readonly<Record<string, string | undefined>>,
  host: string,
  data: string,
): ResolvedSecurity {
  const required = env.MILLRACE_REQUIRE_KEYS ?? given?.requireKeys ?? !LOOPBACK.test(host);
  if (!["true", "false", true, false].includes(required)) {
    throw invalid("requireKeys", "MILLRACE_REQUIRE_KEYS", env, "true or false");
  }
  const limit = env.MILLRACE_RATE_LIMIT ?? given?.rateLimit ?? null;
  const rateLimit = limit === null || limit === "" ? null : Number(limit);
  if (rateLimit !== null && !(rateLimit > 0 && rateLimit <= 1e6)) {
    throw invalid("rateLimit", "MILLRACE_RATE_LIMIT", env, "a number above 0, up to 1000000");
  }
  const corsOrigins =
    env.MILLRACE_CORS_ORIGINS?.split(",").filter((origin) => origin !== "") ?? given?.corsOrigins ?? [];
  const isOrigin = (origin: unknown): boolean =>
    typeof origin === "string" && URL.canParse(origin) && new URL(origin).origin === origin;
  if (!Array.isArray(corsOrigins) || !corsOrigins.every(isOrigin)) {
    throw invalid(
      "corsOrigins",
      "MILLRACE_CORS_ORIGINS",
      env,
      'origins like "https://app.example.com", without a path',
    );
  }
  const keysFile = env.MILLRACE_KEYS_FILE ?? given?.keysFile ?? join(data, "api-keys.json");
  if (typeof keysFile !== "string" || keysFile === "") throw invalid("keysFile", "MILLRACE_KEYS_FILE", env, "a path");
  return {
    requireKeys: String(required) === "true",
    keysFile: resolve(keysFile),
    auditFile: join(data, "audit.jsonl"),
    rateLimit,
    corsOrigins,
  };
}

function invalid(
  name: string,
  variable: string,
  env: Readonly<Record<string, string | undefined>>,
  expected: string,
): Error {
  const where = env[variable] === undefined ? `server.${name} in the configuration` : variable;
  return millraceError("CONFIG_INVALID", `${where} must be ${expected}.`);
}
