import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { MillraceError } from "../../src/definitions/errors.ts";

export interface DebianProgramOptions {
  /** The package that brings it; default: the program's name. */
  readonly package?: string;
  /** Where it may lie outside of the PATH; absolute. */
  readonly paths?: readonly string[];
  /** What makes it say its version; default `--version`. */
  readonly probe?: readonly string[];
}

/**
 * Finds a program in the PATH or at one of the paths and makes sure that it runs; installs Debian's package if it is not
 * there and this process may. Throws `TOOL_MISSING` otherwise: a check that cannot run must not pass.
 */
export function debianProgram(name: string, options: DebianProgramOptions = {}): string {
  const found = (): string | undefined =>
    [name, ...(options.paths ?? []).filter((path) => existsSync(path))].find(
      (program) => spawnSync(program, options.probe ?? ["--version"]).status === 0,
    );
  const known = found();
  if (known !== undefined) return known;
  const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const bring = ["install", "-y", "--no-install-recommends", options.package ?? name];
  let install = spawnSync("/usr/bin/apt-get", bring, { env: environment, encoding: "utf8" });
  if (install.status !== 0) {
    // A fresh machine has no list of packages yet.
    spawnSync("/usr/bin/apt-get", ["update"], { env: environment });
    install = spawnSync("/usr/bin/apt-get", bring, { env: environment, encoding: "utf8" });
  }
  const installed = found();
  if (installed !== undefined) return installed;
  throw new MillraceError(
    "TOOL_MISSING",
    `${name} is not in the PATH and could not be installed (${(install.error?.message ?? install.stderr).trim()}): install the package ${options.package ?? name}.`,
    { kind: "operational" },
  );
}
