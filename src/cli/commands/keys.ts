import { type ApiKey, type ApiKeys, apiKeys, SCOPES, type Scope } from "../../api/auth/api-keys.ts";
import { millraceError } from "../../definitions/errors.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";

export interface CreateKeyOptions extends GlobalOptions {
  readonly scope: readonly string[];
  readonly name?: string;
  /** Days. */
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
  const expires = options.expires === undefined ? null : new Date(Date.now() + options.expires * 86_400_000);
  const { key, text } = await keys.create(options.name ?? "", options.scope as readonly Scope[], expires);
  print(options, { ...shown(key), key: text }, () => text);
}

/** Every key without its secret. */
export async function listKeys(options: GlobalOptions): Promise<void> {
  const keys = (await (await open(options)).list()).map(shown);
  print(options, { keys }, () =>
    table([
      ["id", "name", "scopes", "created", "expires", "revoked"],
      ...keys.map(({ id, name, scopes, created_at, expires_at, revoked_at }) => [
        id,
        name,
        scopes.join(","),
        created_at,
        expires_at ?? "never",
        revoked_at ?? "",
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
