import { spawnSync } from "node:child_process";
import { MillraceError } from "../src/definitions/errors.ts";

/**
 * Finds `promtool` or `prometheus` in the PATH and makes sure that it runs; installs Debian's package if it is not there
 * and this process may. Throws `TOOL_MISSING` otherwise: a check that cannot run must not pass.
 */
export function prometheusTool(name: "promtool" | "prometheus"): string {
  if (runs(name)) return name;
  const install = spawnSync("/usr/bin/apt-get", ["install", "-y", "--no-install-recommends", "prometheus"], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    encoding: "utf8",
  });
  if (runs(name)) return name;
  throw new MillraceError(
    "TOOL_MISSING",
    `${name} is not in the PATH and could not be installed (${(install.error?.message ?? install.stderr).trim()}): install Prometheus, whose packages bring both programs.`,
    { kind: "operational" },
  );
}

function runs(name: string): boolean {
  return spawnSync(name, ["--version"]).status === 0;
}
