import { millraceError } from "../definitions/errors.ts";
import type { FeatureViewMeta } from "../definitions/feature-view.ts";
import type { OnlineReadOptions } from "../feature_store/online-reader.ts";
import type { ViewCacheOptions } from "../feature_store/online-value-cache.ts";

type Env = Readonly<Record<string, string | undefined>>;

const DEADLINE = "MILLRACE_READ_DEADLINE_MS";
const FALLBACK = "MILLRACE_READ_FALLBACK";

export const READ_VARIABLES: readonly string[] = [DEADLINE, FALLBACK];

/** Fills in and checks how requests read the hot store. @throws `CONFIG_INVALID`, naming the value or variable */
export function resolveReads(given: OnlineReadOptions | undefined, env: Env): OnlineReadOptions {
  const deadlineMs =
    env[DEADLINE] === undefined ? given?.deadlineMs : env[DEADLINE].trim() === "" ? Number.NaN : Number(env[DEADLINE]);
  if (deadlineMs !== undefined && !isWithin(deadlineMs, 1, 600_000)) {
    throw invalid(nameOf("reads.deadlineMs", DEADLINE, env), "a number of milliseconds from 1 to 600000");
  }
  const fallback = env[FALLBACK] ?? given?.fallback ?? "error";
  if (fallback !== "error" && fallback !== "partial") {
    throw invalid(nameOf("reads.fallback", FALLBACK, env), '"error" or "partial"');
  }
  const cache = given?.cache ?? {};
  if (typeof cache !== "object" || cache === null || Array.isArray(cache)) {
    throw invalid("reads.cache", "an object: { view_name: { maxStalenessMs, maxEntries } }");
  }
  for (const [view, options] of Object.entries(cache)) checkCache(`reads.cache.${view}`, options);
  return { ...(deadlineMs === undefined ? {} : { deadlineMs }), fallback, cache };
}

/** A cache of a view that is not declared is a misspelt one. @throws `CONFIG_INVALID` */
export function checkCachedViews({ cache = {} }: OnlineReadOptions, views: readonly FeatureViewMeta[]): void {
  const names = views.map((view) => view.name);
  const unknown = Object.keys(cache).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw millraceError(
    "CONFIG_INVALID",
    `reads.cache names the view '${unknown}', which is not declared: declared are ${names.join(", ") || "none"}.`,
    { details: { name: `reads.cache.${unknown}` } },
  );
}

function checkCache(name: string, options: ViewCacheOptions): void {
  if (typeof options !== "object" || options === null) throw invalid(name, "{ maxStalenessMs, maxEntries }");
  const unknown = Object.keys(options).find((key) => key !== "maxStalenessMs" && key !== "maxEntries");
  if (unknown !== undefined) throw invalid(`${name}.${unknown}`, "left out: known here are maxStalenessMs, maxEntries");
  if (!isWithin(options.maxStalenessMs, 1, 86_400_000)) {
    throw invalid(`${name}.maxStalenessMs`, "a number of milliseconds from 1 to 86400000");
  }
  const { maxEntries } = options;
  if (maxEntries !== undefined && !(Number.isInteger(maxEntries) && isWithin(maxEntries, 1, 1e8))) {
    throw invalid(`${name}.maxEntries`, "a whole number from 1 to 100000000");
  }
}

function isWithin(value: unknown, least: number, most: number): boolean {
  return typeof value === "number" && value >= least && value <= most;
}

function nameOf(name: string, variable: string, env: Env): string {
  return env[variable] === undefined ? name : `the variable ${variable}`;
}

function invalid(name: string, expected: string): Error {
  return millraceError("CONFIG_INVALID", `${name} must be ${expected}.`, { details: { name } });
}
