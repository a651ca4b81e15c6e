import { createHash } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { MillraceError } from "../../src/definitions/errors.ts";
import { debianProgram } from "./debian-program.ts";
import { download } from "./download.ts";

/**
 * A folder with the jars of these artifacts (`group:artifact:version`) and all that they need, made once and kept in the
 * user's cache folder. Throws `TOOL_MISSING` with Maven's last words if it cannot be made.
 */
export function mavenJars(artifacts: readonly string[]): string {
  const wanted = [...artifacts].sort();
  const name = createHash("sha256").update(wanted.join("\n")).digest("hex").slice(0, 16);
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "millrace", `jars-${name}`);
  if (existsSync(join(folder, "complete"))) return join(folder, "lib");
  const mvn = debianProgram("mvn", { package: "maven" });
  mkdirSync(folder, { recursive: true });
  const dependencies = wanted
    .map((artifact) => {
      const [group, id, version] = artifact.split(":");
      return `<dependency><groupId>${group}</groupId><artifactId>${id}</artifactId><version>${version}</version></dependency>`;
    })
    .join("");
  writeFileSync(
    join(folder, "pom.xml"),
    `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>millrace</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging><dependencies>${dependencies}</dependencies></project>`,
  );
  const result = download(
    mvn,
    ["-q", "-B", "dependency:copy-dependencies", `-DoutputDirectory=${join(folder, "lib")}`],
    {
      cwd: folder,
      encoding: "utf8",
      maxBuffer: 2 ** 26,
    },
  );
  if (result.status !== 0) {
    throw new MillraceError(
      "TOOL_MISSING",
      `Maven could not bring ${wanted.join(", ")} (${result.error?.message ?? `${result.stdout}${result.stderr}`.trim().slice(-500)}).`,
      { kind: "operational" },
    );
  }
  writeFileSync(join(folder, "complete"), "");
  return join(folder, "lib");
}
