import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { chmod, mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { millraceError } from "../../definitions/errors.ts";

/** What a key allows: predictions; reading features, models and metrics; pushing events; all, administration included. */
export const SCOPES: readonly ["predict", "read", "push", "admin"] = ["predict", "read", "push", "admin"];
export type Scope = (typeof SCOPES)[number];

/** A key as it is kept: its secret only as a hash. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** SHA-256 of the whole key, hex. A key has 256 random bits, so that no slow hash is needed. */
  readonly sha256: string;
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
}

/** The keys of a private file, which several processes may share. */
export interface ApiKeys {
  /** The key that this text is; null for an unknown, revoked or expired one. */
  readonly find: (text: string) => Promise<ApiKey | null>;
  readonly list: () => Promise<readonly ApiKey[]>;
  /** The text is given here once and kept nowhere. */
  readonly create: (
    name: string,
    scopes: readonly Scope[],
    expiresAt: Date | null,
  ) => Promise<{ readonly key: ApiKey; readonly text: string }>;
  /** Revoking twice changes nothing. @throws `KEY_UNKNOWN` */
  readonly revoke: (id: string) => Promise<ApiKey>;
}

const KEY = /^mr_([0-9a-f]{12})_([\w-]{43})$/;
/** How often the file is looked at for changes, milliseconds: a revoked key is refused after that. */
const LOOK_MS = 1_000;

/** Opens the file; it need not exist yet. @throws from the functions: `KEYS_UNREADABLE` */
export function apiKeys(path: string, now: () => number = Date.now): ApiKeys {
  let byId: ReadonlyMap<string, ApiKey> = new Map();
  let stamp = "";
  let lookedAt = Number.NEGATIVE_INFINITY;

  async function look(isForced: boolean): Promise<ReadonlyMap<string, ApiKey>> {
    if (!isForced && Math.abs(now() - lookedAt) < LOOK_MS) return byId;
    const found = await stat(path, { bigint: true }).catch(() => null);
    const changed = found === null ? "none" : `${found.mtimeNs}:${found.size}:${found.ino}`;
    if (changed !== stamp) {
      byId = found === null ? new Map() : await readKeys(path);
      stamp = changed;
    }
    lookedAt = now();
    return byId;
  }

  async function save(keys: readonly ApiKey[]): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    const next = `${path}.${randomBytes(6).toString("hex")}`;
    await writeFile(next, `${JSON.stringify({ keys }, null, 2)}\n`, { mode: 0o600 });
    await chmod(next, 0o600);
    await rename(next, path);
    lookedAt = Number.NEGATIVE_INFINITY;
  }

  return {
    async find(text) {
      const id = KEY.exec(text)?.[1];
      const key = id === undefined ? undefined : (await look(false)).get(id);
      // An unknown id takes as long as a wrong secret.
      const isRight = timingSafeEqual(Buffer.from(key?.sha256 ?? "0".repeat(64), "hex"), digest(text));
      if (key === undefined || !isRight || key.revoked_at !== null) return null;
      return key.expires_at !== null && Date.parse(key.expires_at) <= now() ? null : key;
    },
    list: async () => [...(await look(true)).values()],
    async create(name, scopes, expiresAt) {
      const id = randomBytes(6).toString("hex");
      const text = `mr_${id}_${randomBytes(32).toString("base64url")}`;
      const key: ApiKey = {
        id,
        name,
        scopes,
        sha256: digest(text).toString("hex"),
        created_at: new Date(now()).toISOString(),
        expires_at: expiresAt === null ? null : expiresAt.toISOString(),
        revoked_at: null,
      };
      await save([...(await look(true)).values(), key]);
      return { key, text };
    },
    async revoke(id) {
      const keys = await look(true);
      const key = keys.get(id);
      if (key === undefined) throw millraceError("KEY_UNKNOWN", `There is no key '${id}': see 'millrace keys list'.`);
      const revoked = { ...key, revoked_at: key.revoked_at ?? new Date(now()).toISOString() };
      await save([...keys.values()].map((other) => (other.id === id ? revoked : other)));
      return revoked;
    },
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

async function readKeys(path: string): Promise<ReadonlyMap<string, ApiKey>> {
  try {
    const { keys } = JSON.parse(await readFile(path, "utf8")) as { readonly keys: readonly ApiKey[] };
    const isWhole = Array.isArray(keys) && keys.every(isKey);
    if (isWhole) return new Map(keys.map((key) => [key.id, key]));
  } catch (cause) {
    throw unreadable(path, cause);
  }
  throw unreadable(path);
}

function isKey(key: ApiKey): boolean {
  const isTime = (value: unknown): boolean => value === null || !Number.isNaN(Date.parse(String(value)));
  return (
    typeof key?.id === "string" &&
    /^[0-9a-f]{64}$/.test(key.sha256) &&
    Array.isArray(key.scopes) &&
    key.scopes.every((scope) => SCOPES.includes(scope)) &&
    isTime(key.expires_at) &&
    isTime(key.revoked_at)
  );
}

function unreadable(path: string, cause?: unknown): Error {
  return millraceError(
    "KEYS_UNREADABLE",
    `The file of API keys ${path} cannot be read or is damaged: restore it, or remove it and create keys again.`,
    { kind: "operational", ...(cause === undefined ? {} : { cause }) },
  );
}
