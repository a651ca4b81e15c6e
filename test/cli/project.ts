import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
/** What a project of the tests imports Millrace from. */
export const INDEX: string = fileURLToPath(new URL("../../src/index.ts", import.meta.url));

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process of the command that goes on. */
export interface Running {
  readonly child: ChildProcess;
  /** What it has written so far, stdout and stderr. */
  text(): string;
  /** Resolves when it has written the text (again, since `after`); rejects if it ends before. */
  says(text: string, after?: number): Promise<void>;
  readonly ended: Promise<number | null>;
}

/** A folder with a configuration and declarations, in which the `millrace` command runs. */
export interface Project {
  readonly folder: string;
  write(file: string, text: string): Promise<void>;
  start(args: readonly string[], env?: Readonly<Record<string, string>>): Running;
  /** Runs the command, or a script, to its end. */
  run(args: readonly string[], env?: Readonly<Record<string, string>>, what?: "command" | "script"): Promise<Run>;
  /** Where the running server serves. */
  url(): Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function createProject(files: Readonly<Record<string, string>>): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-cli-"));
  const children = new Set<ChildProcess>();

  function start(args: readonly string[], env: Readonly<Record<string, string>> = {}, what = "command"): Running {
    const child = spawn(process.execPath, what === "command" ? [MAIN, ...args] : [...args], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.add(child);
    let text = "";
    let heard = (): void => {};
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data) => {
        text += data;
        heard();
      });
    }
    const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
    void ended.then(() => {
      children.delete(child);
      heard();
    });
    return {
      child,
      text: () => text,
      ended,
      says: (wanted, after = 0) =>
        new Promise((resolve, reject) => {
          const before = heard;
          heard = () => {
            before();
            if (text.indexOf(wanted, after) >= 0) resolve();
            else if (!children.has(child)) reject(new TypeError(`It ended without "${wanted}":\n${text}`));
          };
          heard();
        }),
    };
  }

  const project: Project = {
    folder,
    async write(file, text) {
      await mkdir(dirname(join(folder, file)), { recursive: true });
      await writeFile(join(folder, file), text);
    },
    start,
    async run(args, env, what) {
      const running = start(args, env, what);
      const parts = { stdout: "", stderr: "" };
      for (const name of ["stdout", "stderr"] as const) {
        running.child[name]!.on("data", (data) => {
          parts[name] += data;
        });
      }
      return { code: await running.ended, ...parts };
    },
    async url() {
      const owner = JSON.parse(await readFile(join(folder, ".millrace/process/process.json"), "utf8")) as {
        readonly url: string;
      };
      return owner.url;
    },
    async [Symbol.asyncDispose]() {
      const ending = [...children].map((child) => new Promise((resolve) => child.on("close", resolve)));
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(ending);
      await rm(folder, { recursive: true, force: true });
    },
  };
  await project.write(
    "millrace.config.ts",
    `import { defineConfig } from ${JSON.stringify(INDEX)};\nexport default defineConfig({ declarations: "./features.ts", server: { port: 0 }, logLevel: "error" });\n`,
  );
  for (const [file, text] of Object.entries(files)) await project.write(file, text);
  return project;
}
