import { apiError } from "./api-errors.ts";

/** `ADDRESS_UNAVAILABLE`, with what to do about it. */
export function listenFailure(cause: unknown, host: string, port: number): Error {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const why: Readonly<Record<string, string>> = {
    EADDRINUSE: "another process listens there: stop it, or choose another port (MILLRACE_PORT; 0 takes a free one)",
    EACCES: "this user may not: choose a port of 1024 or above (MILLRACE_PORT)",
    EADDRNOTAVAIL: "this machine has no such address (MILLRACE_HOST)",
    ENOTFOUND: "this host's name is unknown (MILLRACE_HOST)",
  };
  return apiError(
    "ADDRESS_UNAVAILABLE",
    `The server cannot listen on ${host}:${port}: ${why[code] ?? String(cause)}.`,
    {
      cause,
    },
  );
}
