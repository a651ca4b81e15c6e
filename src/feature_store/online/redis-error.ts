import { isMillraceError, type MillraceError } from "../../definitions/errors.ts";
import { causeText, type StoreErrorCode, storeError } from "../store-error.ts";
import { ROLLED_BACK } from "./redis-scripts.ts";

/** Of a script, Redis 6.2 says it behind words of its own. */
const OF_REPLICA = /\bREADONLY\b/;

/** Whether a server refused a write because it is a replica. */
export function isOfReplica(message: string): boolean {
  return OF_REPLICA.test(message);
}

/** What Redis or the client says, what it means to us, and what to do. Secrets are in none of them. */
const KNOWN: readonly (readonly [RegExp, StoreErrorCode, string])[] = [
  [/MILLRACE_ROLLED_BACK/, "ONLINE_STORE_ROLLED_BACK", "it lost writes that it had taken, so they are made again"],
  [/^NOSCRIPT/, "ONLINE_STORE_ROLLED_BACK", "another server answers than before, so what it lacks is written again"],
  [
    /OOM command not allowed/,
    "ONLINE_STORE_FULL",
    "its maxmemory is reached; raise it. Nothing of this write was done",
  ],
  [
    /MISCONF|No space left|NOSPACE/i,
    "ONLINE_STORE_FULL",
    "it cannot save to its disk, so it refuses writes; see its log",
  ],
  [
    /WRONGPASS|invalid username-password|AUTH/i,
    "ONLINE_STORE_UNAVAILABLE",
    "it refused the user name or password; set the right ones",
  ],
  [
    /NOPERM/,
    "ONLINE_STORE_UNAVAILABLE",
    "its ACL does not let this user do what the store needs: ~<prefix>* +@all -@dangerous +info +config|get",
  ],
  [
    /WRONGTYPE|not a stored value/,
    "ONLINE_STORE_CORRUPT",
    "something else wrote under this installation's keys; remove what begins with its prefix, it is filled again from the offline store",
  ],
  [OF_REPLICA, "ONLINE_STORE_UNAVAILABLE", "it is a replica; name the primary"],
  [/^(LOADING|MASTERDOWN|BUSY|TRYAGAIN)/, "ONLINE_STORE_UNAVAILABLE", "it is not ready yet; try again"],
  [/cluster support disabled/, "ONLINE_STORE_UNAVAILABLE", "it is no cluster; give its url instead of cluster nodes"],
  [
    /CLUSTERDOWN|Cluster isn't ready|None of startup nodes|Failed to refresh slots/,
    "ONLINE_STORE_UNAVAILABLE",
    "the cluster does not serve all slots now; see CLUSTER INFO",
  ],
  [
    /^(MOVED|ASK|CROSSSLOT)/,
    "ONLINE_STORE_UNAVAILABLE",
    "it is a node of a cluster; give `cluster` nodes instead of a url",
  ],
  [
    /unknown command|ERR syntax error|wrong number of arguments/,
    "ONLINE_STORE_UNAVAILABLE",
    "it does not know a command that the store needs; Redis 6.2, Valkey 7.2 or newer is needed",
  ],
];

/** Turns what the client throws into an error of this layer. `place` names the server without its password. */
export function redisError(cause: unknown, place: string): MillraceError {
  if (isMillraceError(cause)) return cause;
  const text = causeText(cause);
  const [, code, advice] = KNOWN.find(([pattern]) => pattern.test(text)) ?? [
    null,
    "ONLINE_STORE_UNAVAILABLE" as const,
    "it cannot be reached; start it, or set the right address",
  ];
  // The client adds the command, and with it arguments, to its errors: not as a cause.
  return storeError(
    code,
    `The online store at ${place}: ${advice} (${text.replace(ROLLED_BACK, "rolled back").slice(0, 200)}).`,
    {
      kind: "operational",
      details: { place },
    },
  );
}

/** Reads answers no deadline could wait for. */
export function redisTimeout(place: string, deadlineMs: number): MillraceError {
  return storeError(
    "ONLINE_STORE_TIMEOUT",
    `The online store at ${place} did not answer within ${deadlineMs} ms: try again, or raise the deadline.`,
    { kind: "operational", details: { place } },
  );
}
