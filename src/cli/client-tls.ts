import { readFileSync } from "node:fs";
import type { AgentOptions } from "node:https";
import { millraceError } from "../definitions/errors.ts";

/** How a command connects by HTTPS. */
export type ClientTls = Pick<AgentOptions, "ca" | "cert" | "key" | "allowPartialTrustChain" | "checkServerIdentity">;

/**
 * What the environment says: `MILLRACE_CLI_CA_FILE` is trusted instead of the system's authorities, and
 * `MILLRACE_CLI_CERT_FILE` with `MILLRACE_CLI_KEY_FILE` is shown to servers that ask for a client's certificate.
 *
 * `known`: the certificates that the process on the data folder has in its private file. It is trusted by them and by
 * nothing else, whatever name they are for, since it is asked by its address.
 * @throws `CONFIG_INVALID`
 */
export function clientTls(env: Readonly<Record<string, string | undefined>>, known: string | null): ClientTls {
  const [ca, cert, key] = [
    read(env, "MILLRACE_CLI_CA_FILE"),
    read(env, "MILLRACE_CLI_CERT_FILE"),
    read(env, "MILLRACE_CLI_KEY_FILE"),
  ];
  if ((cert === null) !== (key === null)) {
    throw millraceError(
      "CONFIG_INVALID",
      "MILLRACE_CLI_CERT_FILE and MILLRACE_CLI_KEY_FILE belong together: name both, or none.",
    );
  }
  return {
    ...(cert === null || key === null ? {} : { cert, key }),
    ...(known === null
      ? ca === null
        ? {}
        : { ca }
      : { ca: known, allowPartialTrustChain: true, checkServerIdentity: () => undefined }),
  };
}

function read(env: Readonly<Record<string, string | undefined>>, variable: string): string | null {
  const path = env[variable];
  if (path === undefined || path === "") return null;
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw millraceError("CONFIG_INVALID", `${variable} names ${path}, which cannot be read (${code}).`, { cause });
  }
}
