import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { MillraceError } from "../../src/definitions/errors.ts";
import { download } from "./download.ts";

/**
 * The `bin` folder of a virtual environment with these pinned requirements (`["feast[redis]==0.67.0"]`), made once and
 * kept in the user's cache folder. Throws `TOOL_MISSING` with pip's last words if it cannot be made.
 */
export function pythonEnvironment(requirements: readonly string[]): string {
  const wanted = [...requirements].sort();
  const name = createHash("sha256").update(wanted.join("\n")).digest("hex").slice(0, 16);
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "millrace");
  const folder = join(cache, `python-${name}`);
  if (existsSync(join(folder, "complete"))) return join(folder, "bin");
  mkdirSync(cache, { recursive: true });
  rmSync(folder, { recursive: true, force: true });
  run("python3", ["-m", "venv", folder]);
  run(join(folder, "bin", "pip"), ["install", "--quiet", "--disable-pip-version-check", ...wanted]);
  mkdirSync(join(folder, "incomplete"));
  renameSync(join(folder, "incomplete"), join(folder, "complete"));
  return join(folder, "bin");
}

function run(program: string, args: readonly string[]): void {
  const result = download(program, args);
  if (result.status === 0) return;
  throw new MillraceError(
    "TOOL_MISSING",
    `${program} ${args.slice(0, 2).join(" ")} failed (${result.error?.message ?? result.stderr.trim().slice(-500)}): Python 3.11 or newer with venv and pip is needed.`,
    { kind: "operational" },
  );
}
