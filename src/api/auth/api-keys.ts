import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import { chmod, mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { millraceError } from "../../definitions/errors.ts";
import { withFileLock } from "../models/file-lock.ts";

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
  /** Requests per second, instead of the server's limit; absent: that one counts. */
  readonly rate_limit?: number;
}

export interface NewKey {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly expiresAt: Date | null;
  /** Requests per second. Default: the server's limit. */
  readonly rateLimit?: number;
}

/** A key with its text, which is given here once and kept nowhere. */
export interface MadeKey {
  readonly key: ApiKey;
  readonly text: string;
}

/** A text that may be a key, hashed. */
export interface Credential {
  /** Null for a text that no key has the form of. */
  readonly id: string | null;
  readonly sha256: Buffer;
}

/** The keys of a private file, which several processes may share. */
export interface ApiKeys {
  /** The key that this text is; null for an unknown, revoked or expired one. */
  readonly find: (text: string) => Promise<ApiKey | null>;
  /** As `find`; at once if the file was looked at within the last second. */
  readonly match: (credential: Credential) => ApiKey | null | Promise<ApiKey | null>;
  readonly list: () => Promise<readonly ApiKey[]>;
  readonly create: (key: NewKey) => Promise<MadeKey>;
  /**
   * A new key that may do the same. The old one is refused from `oldEndsAt` on, or from its own end if that is sooner.
   * @throws `KEY_UNKNOWN`, also for one that is revoked or expired
   */
  readonly rotate: (id: string, oldEndsAt: Date, expiresAt: Date | null) => Promise<MadeKey>;
  /** Revoking twice changes nothing. @throws `KEY_UNKNOWN` */
  readonly revoke: (id: string) => Promise<ApiKey>;
}

const KEY = /^mr_([0-9a-f]{12})_([\w-]{43})$/;
/** How often the file is looked at for changes, milliseconds: a revoked key is refused after that. */
const LOOK_MS = 1_000;

/**
 * Opens the file; it need not exist yet. Changes of several processes follow one another, each over the last one's file.
 * @throws from the functions: `KEYS_UNREADABLE`, `KEYS_UNWRITABLE`
 */
export function apiKeys(path: string, now: () => number = Date.now): ApiKeys {
  let byId: ReadonlyMap<string, ApiKey> = new Map();
  let stamp = "";
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<ReadonlyMap<string, ApiKey>> | null = null;

  async function look(): Promise<ReadonlyMap<string, ApiKey>> {
    const found = await stat(path, { bigint: true }).catch(() => null);
    const changed = found === null ? "none" : `${found.mtimeNs}:${found.size}:${found.ino}`;
    if (changed !== stamp) {
      byId = found === null ? new Map() : await readKeys(path);
      stamp = changed;
    }
    lookedAt = now();
    return byId;
  }

  /** Reads, changes and writes the file while no other process does. */
  async function change<T>(make: (keys: ReadonlyMap<string, ApiKey>) => readonly [readonly ApiKey[], T]): Promise<T> {
    try {
      await mkdir(dirname(path), { recursive: true });
      // Given null only where the work may be done by another.
      return (await withFileLock(
        `${path}.lock`,
        async () => false,
        async () => {
          const [keys, made] = make(await look());
          await save(keys);
          return made;
        },
      )) as T;
    } catch (error) {
      throw unwritable(path, error);
    }
  }

  async function save(keys: readonly ApiKey[]): Promise<void> {
    const next = `${path}.${randomBytes(6).toString("hex")}`;
    await writeFile(next, `${JSON.stringify({ keys }, null, 2)}\n`, { mode: 0o600 });
    await chmod(next, 0o600);
    await rename(next, path);
    lookedAt = Number.NEGATIVE_INFINITY;
  }

  function match(credential: Credential): ApiKey | null | Promise<ApiKey | null> {
    if (credential.id === null) return null;
    if (Math.abs(now() - lookedAt) < LOOK_MS) return matchIn(byId, credential);
    // Requests of one moment wait for one look.
    looking ??= look().finally(() => {
      looking = null;
    });
    return looking.then((keys) => matchIn(keys, credential));
  }

  function matchIn(keys: ReadonlyMap<string, ApiKey>, { id, sha256 }: Credential): ApiKey | null {
    const key = keys.get(id!);
    // An unknown id takes as long as a wrong secret.
    const isRight = timingSafeEqual(key === undefined ? NO_HASH : hashOf(key), sha256);
    return key !== undefined && isRight && isLive(key, now()) ? key : null;
  }

  return {
    find: async (text) => match(credentialOf(text)),
    match,
    list: async () => [...(await look()).values()],
    create: (wanted) =>
      change((keys) => {
        const made = makeKey(wanted, now());
        return [[...keys.values(), made.key], made];
      }),
    rotate: (id, oldEndsAt, expiresAt) =>
      change((keys) => {
        const old = keys.get(id);
        if (old === undefined || !isLive(old, now())) throw unknownKey(id);
        const made = makeKey(
          {
            name: old.name,
            scopes: old.scopes,
            expiresAt,
            ...(old.rate_limit === undefined ? {} : { rateLimit: old.rate_limit }),
          },
          now(),
        );
        const ends = oldEndsAt.toISOString();
        const ending = { ...old, expires_at: old.expires_at !== null && old.expires_at < ends ? old.expires_at : ends };
        return [[...[...keys.values()].map((other) => (other.id === id ? ending : other)), made.key], made];
      }),
    revoke: (id) =>
      change((keys) => {
        const key = keys.get(id);
        if (key === undefined) throw unknownKey(id);
        const revoked = { ...key, revoked_at: key.revoked_at ?? new Date(now()).toISOString() };
        return [[...keys.values()].map((other) => (other.id === id ? revoked : other)), revoked];
      }),
  };
}

/** Hashes a text once for any number of checks. */
export function credentialOf(text: string): Credential {
  return { id: KEY.exec(text)?.[1] ?? null, sha256: hash("sha256", text, "buffer") };
}

const NO_HASH: Buffer = Buffer.alloc(32);
const hashes = new WeakMap<ApiKey, Buffer>();
function hashOf(key: ApiKey): Buffer {
  const known = hashes.get(key) ?? Buffer.from(key.sha256, "hex");
  hashes.set(key, known);
  return known;
}

/** True for a key that is neither revoked nor expired at `now`, epoch milliseconds. */
export function isLive({ revoked_at: revokedAt, expires_at: expiresAt }: ApiKey, now: number): boolean {
  return revokedAt === null && (expiresAt === null || Date.parse(expiresAt) > now);
}

function makeKey({ name, scopes, expiresAt, rateLimit }: NewKey, now: number): MadeKey {
  const id = randomBytes(6).toString("hex");
  const text = `mr_${id}_${randomBytes(32).toString("base64url")}`;
  const key: ApiKey = {
    id,
    name,
    scopes,
    sha256: hash("sha256", text),
    created_at: new Date(now).toISOString(),
    expires_at: expiresAt === null ? null : expiresAt.toISOString(),
    revoked_at: null,
    ...(rateLimit === undefined ? {} : { rate_limit: rateLimit }),
  };
  return { key, text };
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
    isTime(key.revoked_at) &&
    (key.rate_limit === undefined || key.rate_limit > 0)
  );
}

function unreadable(path: string, cause?: unknown): Error {
  return millraceError(
    "KEYS_UNREADABLE",
    `The file of API keys ${path} cannot be read or is damaged: restore it, or remove it and create keys again.`,
    { kind: "operational", ...(cause === undefined ? {} : { cause }) },
  );
}

function unknownKey(id: string): Error {
  return millraceError("KEY_UNKNOWN", `There is no key '${id}' that counts: see 'millrace keys list'.`);
}

function unwritable(path: string, cause: unknown): unknown {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (!/^E[A-Z]+$/.test(code)) return cause;
  return millraceError(
    "KEYS_UNWRITABLE",
    `The file of API keys ${path} cannot be written (${code}): run this where it is kept, as a user who may write there, or name another (server.keysFile, MILLRACE_KEYS_FILE).`,
    { cause, details: { reason: code } },
  );
}
