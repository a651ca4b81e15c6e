import { isAbsolute, join } from "node:path";
import { millraceError } from "../definitions/errors.ts";

/** How the server ends TLS. The files are read again when they change. */
export interface TlsConfig {
  /** PEM: the server's certificate, then those between it and its root. `MILLRACE_TLS_CERT_FILE` */
  readonly certFile?: string;
  /** PEM, without a passphrase. `MILLRACE_TLS_KEY_FILE` */
  readonly keyFile?: string;
  /** PEM: whose certificates clients must have (mutual TLS). Default: clients need none. `MILLRACE_TLS_CLIENT_CA_FILE` */
  readonly clientCaFile?: string;
  /**
   * With `clientCaFile`: `always` ends a handshake without a client's certificate; `except_health` lets anyone ask the
   * public routes, for load balancers that have none. Default `always`. `MILLRACE_TLS_CLIENT_CERTIFICATES`
   */
  readonly clientCertificates?: "always" | "except_health";
  /** The oldest version that is spoken. Default `1.2`. `MILLRACE_TLS_MIN_VERSION` */
  readonly minVersion?: "1.2" | "1.3";
}

export interface ResolvedTls {
  /** Absolute, as the others. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCaFile: string | null;
  readonly clientCertificates: "always" | "except_health";
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
}

const VARIABLE = {
  certFile: "MILLRACE_TLS_CERT_FILE",
  keyFile: "MILLRACE_TLS_KEY_FILE",
  clientCaFile: "MILLRACE_TLS_CLIENT_CA_FILE",
  clientCertificates: "MILLRACE_TLS_CLIENT_CERTIFICATES",
  minVersion: "MILLRACE_TLS_MIN_VERSION",
} as const;

export const TLS_VARIABLES: readonly string[] = [
  ...Object.values(VARIABLE),
  // Of commands that ask a running server.
  "MILLRACE_CLI_CA_FILE",
  "MILLRACE_CLI_CERT_FILE",
  "MILLRACE_CLI_KEY_FILE",
];

/**
 * Fills in and checks `server.tls`; relative paths are relative to `folder`. Null: plain HTTP.
 * @throws `CONFIG_INVALID`, naming the value or variable
 */
export function resolveTls(
  given: TlsConfig | undefined,
  env: Readonly<Record<string, string | undefined>>,
  folder: string,
): ResolvedTls | null {
  if (given !== undefined && (typeof given !== "object" || given === null)) {
    throw millraceError("CONFIG_INVALID", "server.tls must be an object: { certFile, keyFile }.");
  }
  const unknown = Object.keys(given ?? {}).find((name) => !Object.hasOwn(VARIABLE, name));
  if (unknown !== undefined) {
    throw millraceError(
      "CONFIG_INVALID",
      `server.tls has no '${unknown}': known here are ${Object.keys(VARIABLE).join(", ")}.`,
    );
  }
  const text = (name: keyof TlsConfig): string | null => {
    const found: unknown = env[VARIABLE[name]] ?? given?.[name] ?? null;
    if (found === null || found === "") return null;
    if (typeof found === "string") return found;
    throw invalid(name, env, "a text");
  };
  const path = (name: "certFile" | "keyFile" | "clientCaFile"): string | null => {
    const found = text(name);
    return found === null || isAbsolute(found) ? found : join(folder, found);
  };
  const [certFile, keyFile, clientCaFile] = [path("certFile"), path("keyFile"), path("clientCaFile")];
  if (certFile === null && keyFile === null && clientCaFile === null) return null;
  if (certFile === null) throw invalid("certFile", env, "a path, since other files of TLS are named");
  if (keyFile === null) throw invalid("keyFile", env, "a path, since other files of TLS are named");
  const clientCertificates = text("clientCertificates") ?? "always";
  if (clientCertificates !== "always" && clientCertificates !== "except_health") {
    throw invalid("clientCertificates", env, "always or except_health");
  }
  const version = text("minVersion") ?? "1.2";
  if (version !== "1.2" && version !== "1.3") throw invalid("minVersion", env, "1.2 or 1.3");
  return { certFile, keyFile, clientCaFile, clientCertificates, minVersion: `TLSv${version}` };
}

function invalid(name: keyof TlsConfig, env: Readonly<Record<string, string | undefined>>, expected: string): Error {
  const from = env[VARIABLE[name]] === undefined ? `server.tls.${name}` : `the variable ${VARIABLE[name]}`;
  return millraceError("CONFIG_INVALID", `${from} must be ${expected}.`, { details: { name: from } });
}
