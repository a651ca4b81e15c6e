import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync } from "node:fs";
import { delimiter, join } from "node:path";
import { debianProgram } from "../../integration/services/debian-program.ts";
import { MillraceError } from "../../src/definitions/errors.ts";
import type { BeamHost } from "../../src/feature_engineering/beam/beam-host.ts";

/** Builds the hand-written pipeline into a folder of its own; returns a class path with the host's libraries behind it. */
export function buildByHand(host: BeamHost, folder: string): string {
  const work = mkdtempSync(join(folder, "by-hand-"));
  cpSync(join(import.meta.dirname, "pom.xml"), join(work, "pom.xml"));
  cpSync(join(import.meta.dirname, "src"), join(work, "src"), { recursive: true });
  const mvn = debianProgram("mvn", { package: "maven" });
  const { status, stdout, stderr } = spawnSync(mvn, ["-q", "-B", "package"], { cwd: work, encoding: "utf8" });
  if (status !== 0) {
    throw new MillraceError("BEAM_BUILD_FAILED", `Maven could not build it: ${`${stdout}${stderr}`.slice(-1_000)}`, {
      kind: "operational",
    });
  }
  return [join(work, "target", "payments-by-hand.jar"), host.classPath].join(delimiter);
}
