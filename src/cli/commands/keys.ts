import { type ApiKey, type ApiKeys, apiKeys, SCOPES, type Scope } from "../../api/auth/api-keys.ts";
import { millraceError } from "../../definitions/errors.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";

export interface CreateKeyOptions extends GlobalOptions {
  readonly scope: readonly string[];
  readonly name?: string;
  /** Days. */
  readonly expires?: number;
  /** Requests per second. */
  readonly rate?: number;
}

export interface RotateKeyOptions extends GlobalOptions {
  /** Hours for which the old key still counts. */
  readonly grace: number;
  /** Days, of the new one. */
  readonly expires?: number;
}

/** Makes a key and prints it, this once. */
export async function createKey(options: CreateKeyOptions): Promise<void> {
  const unknown = options.scope.find((scope) => !SCOPES.includes(scope as Scope));
  if (unknown !== undefined || options.scope.length === 0) {
    throw millraceError(
      "USAGE",
      `--scope takes ${SCOPES.join(", ")}${unknown === undefined ? "" : `, not '${unknown}'`}.`,
    );
  }
  const keys = await open(options);
  const { key, text } = await keys.create({
    name: options.name ?? "",
    scopes: options.scope as readonly Scope[],
    expiresAt: daysFromNow(options.expires),
    ...(options.rate === undefined ? {} : { rateLimit: options.rate }),
  });
  print(options, { ...shown(key), key: text }, () => text);
}

/** Makes a key that may do the same, and lets the old one end. */
export async function rotateKey(id: string, options: RotateKeyOptions): Promise<void> {
  const oldEndsAt = new Date(Date.now() + options.grace * 3_600_000);
  const { key, text } = await (await open(options)).rotate(id, oldEndsAt, daysFromNow(options.expires));
  print(options, { ...shown(key), key: text }, () => text);
}

function daysFromNow(days: number | undefined): Date | null {
  return days === undefined ? null : new Date(Date.now() + days * 86_400_000);
}

/** Every key without its secret. */
export async function listKeys(options: GlobalOptions): Promise<void> {
  const keys = (await (await open(options)).list()).map(shown);
  print(options, { keys }, () =>
    table([
      ["id", "name", "scopes", "created", "expires", "revoked", "rate"],
      ...keys.map(({ id, name, scopes, created_at, expires_at, revoked_at, rate_limit }) => [
        id,
        name,
        scopes.join(","),
        created_at,
        expires_at ?? "never",
        revoked_at ?? "",
        rate_limit === undefined ? "" : `${rate_limit}/s`,
      ]),
    ]),
  );
}

/** A running server refuses the key within a second. */
export async function revokeKey(id: string, options: GlobalOptions): Promise<void> {
  const key = await (await open(options)).revoke(id);
  print(options, shown(key), () => `${key.id} is revoked.`);
}

async function open(options: GlobalOptions): Promise<ApiKeys> {
  return apiKeys((await configOf(options)).server.keysFile);
}

function shown({ sha256: _hash, ...key }: ApiKey): Omit<ApiKey, "sha256"> {
  return key;
}
