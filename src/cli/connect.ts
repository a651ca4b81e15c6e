import type { ResolvedConfig } from "../config/config.ts";
import { areShared } from "../config/store-config.ts";
import { millraceError } from "../definitions/errors.ts";
import { openPlatform } from "../platform.ts";
import { readOwner } from "../processes/process-file.ts";
import { type ClientTls, clientTls } from "./client-tls.ts";
import { loggerOf } from "./global-options.ts";
import { httpRequest } from "./http-request.ts";

/** A Millrace to ask: the process that owns the data folder, or one that this command opened. */
export interface Connection {
  readonly url: string;
  /** True if another process serves. */
  readonly isRemote: boolean;
  /** Asks a route and gives the parsed answer. A problem becomes the error that it describes. */
  ask<T>(method: string, path: string, body?: unknown): Promise<T>;
  raw(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** With one process on the data folder talks to it over HTTP, else opens the stores itself; reads no source then. */
export async function connect(config: ResolvedConfig): Promise<Connection> {
  // Where processes share the stores, each has them for itself.
  const owner = areShared(config) ? null : await readOwner(config.data);
  if (owner !== null && owner.url === null) {
    throw millraceError(
      "DATA_FOLDER_IN_USE",
      `Process ${owner.pid} has the data folder ${config.data} and serves nothing: wait for it, or stop it.`,
      { kind: "operational" },
    );
  }
  if (owner?.url != null) {
    const tls = clientTls(process.env, owner.certificates ?? null);
    return connection(owner.url, owner.token, tls, true, async () => {});
  }
  const quiet = { ...config, server: { ...config.server, host: "127.0.0.1", port: 0, tls: null } };
  const platform = await openPlatform(quiet, {
    log: loggerOf(quiet, "error"),
    ingest: false,
    catchUp: false,
    isPrivate: true,
  });
  try {
    await platform.ready();
  } catch (error) {
    await platform.close();
    throw error;
  }
  return connection(platform.url, platform.token, {}, false, () => platform.close());
}

/** The Millrace at this address. `token` is asked for by what only operators may do. */
export function connectTo(url: string, token: string): Connection {
  return connection(url.replace(/\/+$/, ""), token, clientTls(process.env, null), true, async () => {});
}

function connection(
  url: string,
  token: string,
  tls: ClientTls,
  isRemote: boolean,
  close: () => Promise<void>,
): Connection {
  const raw: Connection["raw"] = async (method, path, body, headers = {}) => {
    const response = await httpRequest(`${url}${path}`, {
      method,
      tls,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" || body instanceof Uint8Array ? (body as string) : JSON.stringify(body) }),
    }).catch((error: unknown) => {
      throw millraceError(
        "SERVER_UNREACHABLE",
        `The Millrace at ${url} does not answer: ${error instanceof Error ? error.message : String(error)}.${url.startsWith("https:") ? tlsHint(error) : ""}`,
        { kind: "operational", cause: error },
      );
    });
    if (response.ok) return response;
    const {
      code,
      detail,
      type: _type,
      title: _title,
      status: _status,
      ...details
    } = (await response.json()) as { code: string; detail: string } & Record<string, unknown>;
    throw millraceError(code, detail, { kind: response.status === 500 ? "bug" : "user", details });
  };
  return {
    url,
    isRemote,
    raw,
    ask: async <T>(method: string, path: string, body?: unknown) => (await (await raw(method, path, body)).json()) as T,
    [Symbol.asyncDispose]: close,
  };
}

/** What to do about a handshake that failed. */
function tlsHint(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  // A server that refuses a certificate may reset the connection before it is told why.
  if (/ECONNRESET|CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|UNKNOWN_CA|ALERT_BAD_CERTIFICATE/.test(code)) {
    return " It may ask for a client's certificate: MILLRACE_CLI_CERT_FILE and MILLRACE_CLI_KEY_FILE name one.";
  }
  if (/CERT|ISSUER|SELF_SIGNED|ALTNAME|VERIFY/.test(code)) {
    return " Its certificate is not trusted here: MILLRACE_CLI_CA_FILE names the authority that it is of.";
  }
  return "";
}
