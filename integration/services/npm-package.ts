import { createHash } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { MillraceError } from "../../src/definitions/errors.ts";
import { download } from "./download.ts";

/**
 * The folder of a package (`kinesalite@3.3.3`) that only tests run, installed once into the user's cache folder, so that
 * `npm ci` stays small. Throws `TOOL_MISSING` with npm's last words if it cannot be installed.
 */
export function npmPackage(spec: string): string {
  const name = spec.slice(0, spec.lastIndexOf("@"));
  const key = createHash("sha256").update(spec).digest("hex").slice(0, 16);
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "millrace", `npm-${key}`);
  if (existsSync(join(folder, "complete"))) return join(folder, "node_modules", name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
  const result = download("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", spec], {
    cwd: folder,
    encoding: "utf8",
  });
  if (result.status !== 0) {
    throw new MillraceError(
      "TOOL_MISSING",
      `npm could not install ${spec} (${result.error?.message ?? result.stderr.trim().slice(-500)}).`,
      { kind: "operational" },
    );
  }
  writeFileSync(join(folder, "complete"), "");
  return join(folder, "node_modules", name);
}
