import { execFileSync } from "node:child_process";
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

/**
 * Builds `dist/` for publishing: `src/` compiled, its other files (pages, dashboards, the Beam host) beside it, and
 * the conformance suites in `dist/conformance`, which import `../src/…` in the repository and `../…` in the package.
 */
function build(root: string): void {
  const dist = path.join(root, "dist");
  rmSync(dist, { recursive: true, force: true });
  compile(root, "tsconfig.build.json");
  cpSync(path.join(root, "src"), dist, { recursive: true, filter: (from) => !/\.ts$|[/\\]target$/.test(from) });
  const beam = path.join(dist, "feature_engineering", "beam");
  if (existsSync(beam)) {
    const bundler = path.join(import.meta.dirname, "build-beam.ts");
    execFileSync(process.execPath, [bundler, path.join(beam, "worker-script.js")], { stdio: "inherit" });
  }

  if (!existsSync(path.join(root, "conformance"))) return;
  compile(root, "tsconfig.testing.json");
  const compiled = path.join(dist, ".testing", "conformance");
  for (const file of globSync("**/*.{js,d.ts}", { cwd: compiled })) {
    const depth = file.split(path.sep).length;
    const up = "../".repeat(depth);
    const text = readFileSync(path.join(compiled, file), "utf8").replaceAll(`"${up}src/`, `"${up}`);
    const target = path.join(dist, "conformance", file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, text.replace(/^\/\/# sourceMappingURL=.*$/m, ""));
  }
  rmSync(path.join(dist, ".testing"), { recursive: true });
}

/** Runs the `tsc` that npm puts in the PATH of its scripts. */
function compile(root: string, project: string): void {
  execFileSync("tsc", ["-p", project], { cwd: root, stdio: "inherit" });
}

build(path.join(import.meta.dirname, ".."));
