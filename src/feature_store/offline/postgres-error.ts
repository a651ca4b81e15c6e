import { isMillraceError, type MillraceError } from "../../definitions/errors.ts";
import { causeText, type StoreErrorCode, storeError } from "../store-error.ts";

/** What an error of PostgreSQL means for the store. */
interface Meaning {
  readonly code: StoreErrorCode;
  /** What to do now. */
  readonly advice: string;
}

const MEANINGS: Readonly<Record<string, Meaning>> = {
  "28P01": unavailable("the user or password is wrong: check the URL"),
  "28000": unavailable("the server does not let this user in: check the URL, TLS and pg_hba.conf"),
  "3D000": unavailable("the database does not exist: create it, or correct the URL"),
  "42501": unavailable("the user lacks a privilege: grant it CREATE on the database, or the schema's ownership"),
  "25006": unavailable("the server is read-only, a standby perhaps: use the primary"),
  "53100": unavailable("the server's disk is full: free some room there"),
  "53200": unavailable("the server is out of memory: lower its work_mem or the number of connections"),
  "53300": busy("the server has no connection left: raise its max_connections or lower maxConnections"),
  "57014": busy("the statement took longer than statementTimeoutMs: look at the server's load and locks"),
  "55P03": busy("a lock was not to be had in time: look at the server's locks"),
  "25P03": busy("the transaction was idle longer than idleInTransactionTimeoutMs: this process was held up"),
  "40001": busy("it collided with another transaction again and again: try again"),
  "40P01": busy("it collided with another transaction again and again: try again"),
};

function unavailable(advice: string): Meaning {
  return { code: "OFFLINE_STORE_UNAVAILABLE", advice };
}

function busy(advice: string): Meaning {
  return { code: "OFFLINE_STORE_BUSY", advice };
}

/** Codes of Node for a server that is not there, or no longer. */
const LOST_SOCKET = /^(ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|ENOENT)/;
/** Shut down, crashed, starting up, connection lost. */
const LOST_SERVER = /^(57P0[1-5]|08\w\w\w)$/;

/** The SQLSTATE, or Node's code; empty if there is none. */
export function codeOf(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return typeof code === "string" ? code : "";
}

/** True if the connection is gone, so that whether a COMMIT under way took effect is unknown. */
export function isConnectionLoss(cause: unknown): boolean {
  const code = codeOf(cause);
  if (LOST_SOCKET.test(code) || LOST_SERVER.test(code)) return true;
  return (
    code === "" &&
    cause instanceof Error &&
    /connection terminated|connection ended|not queryable|socket|timeout expired|connection timeout/i.test(
      cause.message,
    )
  );
}

/** True if the index of event ids refused a row, or the transaction was taken to end a deadlock. */
export function isCollision(cause: unknown): boolean {
  return codeOf(cause) === "23505" || codeOf(cause) === "40P01" || codeOf(cause) === "40001";
}

const READ_ONLY = "25006";

/** True if the server takes no writes: a standby, or a primary that was made one. */
export function isReadOnly(cause: unknown): boolean {
  return codeOf(cause) === READ_ONLY;
}

/** What the server itself says of a write, for a standby that is not even asked for one. */
export function readOnlyServer(): Error {
  return Object.assign(new TypeError("it is in recovery"), { code: READ_ONLY });
}

/** Turns what the client throws into an error of this layer. `place` names the server without the password. */
export function postgresError(cause: unknown, place: string): MillraceError {
  if (isMillraceError(cause)) return cause;
  const code = codeOf(cause);
  const options = {
    cause,
    kind: "operational",
    details: { place, ...(code === "" ? {} : { sqlstate: code }) },
  } as const;
  const meaning = MEANINGS[code];
  const text = causeText(cause);
  if (meaning !== undefined) {
    return storeError(meaning.code, `The offline store ${place} refused: ${text}; ${meaning.advice}.`, options);
  }
  if (code.startsWith("XX")) {
    return storeError(
      "OFFLINE_STORE_CORRUPT",
      `The offline store ${place} has damaged data: ${text}; restore it from a backup.`,
      options,
    );
  }
  if (isConnectionLoss(cause)) {
    return storeError(
      "OFFLINE_STORE_UNAVAILABLE",
      `The offline store ${place} cannot be reached: ${text || code}; start the server or correct the URL.`,
      options,
    );
  }
  return storeError("OFFLINE_STORE_UNAVAILABLE", `The offline store ${place} failed: ${text}.`, options);
}

export function outcomeUnknown(place: string): MillraceError {
  return storeError(
    "OFFLINE_STORE_UNAVAILABLE",
    `The connection to the offline store ${place} was lost while it committed: whether it did is unknown. Look, and try again.`,
    { kind: "operational", details: { place } },
  );
}

export function postgresClosed(place: string): MillraceError {
  return storeError("OFFLINE_STORE_UNAVAILABLE", `The offline store ${place} is closed: open a new one.`);
}
