import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

interface LockedPackage extends Partial<Platform> {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Platform {
  readonly os: readonly string[];
  readonly cpu: readonly string[];
  readonly libc?: readonly string[];
}

/**
 * Adds to a lockfile the builds for other platforms that npm left out because its registry did not have them (a partial
 * mirror). Without them `npm ci` calls the lockfile out of sync, and those platforms would miss their binaries. The
 * entries have the exact version that the parent asks for and no integrity, which npm adds when it installs them.
 *
 * @returns the names of the added packages, with versions
 */
export function completeLockfile(packages: Record<string, LockedPackage>): readonly string[] {
  const added: string[] = [];
  for (const [place, parent] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
      const platform = platformOf(name);
      if (platform === null || !/^\d/.test(version) || versionSeenFrom(packages, place, name) === version) continue;
      const beside = `${place.slice(0, place.lastIndexOf("node_modules/"))}node_modules/${name}`;
      const below = `${place}/node_modules/${name}`;
      packages[packages[beside] === undefined ? beside : below] = {
        // In the order in which npm writes them.
        version,
        cpu: platform.cpu,
        ...(parent.dev === true ? { dev: true } : {}),
        ...(platform.libc === undefined ? {} : { libc: platform.libc }),
        optional: true,
        os: platform.os,
      };
      added.push(`${name}@${version}`);
    }
  }
  return added;
}

/** The version that Node's resolution finds from a package's folder, or null. */
function versionSeenFrom(packages: Record<string, LockedPackage>, place: string, name: string): string | null {
  const end = place.lastIndexOf("/node_modules/");
  const found = packages[`${place === "" ? "" : `${place}/`}node_modules/${name}`];
  if (found !== undefined) return found.version ?? null;
  if (place === "") return null;
  return versionSeenFrom(packages, end < 0 ? "" : place.slice(0, end), name);
}

/** The platform in a package's name, such as `binding-linux-x64-musl`, or null if it has none. */
function platformOf(name: string): Platform | null {
  const [, os, cpu, abi] =
    /[-/](android|darwin|freebsd|linux|openharmony|win32)-(arm64|arm|ia32|ppc64|riscv64|s390x|x64)(?:-(\w+))?$/.exec(
      name,
    ) ?? [];
  if (os === undefined || cpu === undefined) return null;
  if (os !== "linux" || abi === undefined) return { os: [os], cpu: [cpu] };
  return { os: [os], cpu: [cpu], libc: [abi.startsWith("musl") ? "musl" : "glibc"] };
}

if (import.meta.main) {
  const file = path.join(import.meta.dirname, "..", "package-lock.json");
  const lock = JSON.parse(readFileSync(file, "utf8"));
  const added = completeLockfile(lock.packages);
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, "en")));
  if (added.length > 0) writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  console.error(`${added.length} packages added to package-lock.json`);
}
