import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BeamHost, beamHost } from "../src/feature_engineering/beam/beam-host.ts";

const PROBE = join(import.meta.dirname, "beam", "OpenScript.java");

let host: BeamHost;
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-beam-script-"));
  host = await beamHost({ parts: ["graal"] });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Names by which a script would reach Java, files, the network, threads or the process. */
const NAMES = [
  ...["Java", "Packages", "java", "javax", "org", "com", "JavaImporter", "JavaAdapter", "Polyglot", "Graal"],
  ...["load", "loadWithNewGlobal", "quit", "exit", "read", "readFully", "readline", "readbuffer", "write", "require"],
  ...["process", "Deno", "Bun", "javet", "module", "global", "importScripts"],
  ...["fetch", "XMLHttpRequest", "WebSocket", "EventSource", "Worker", "SharedWorker", "navigator"],
  ...["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "print", "printErr"],
];

/**
 * Runs in the engine, where the job's script does, and says what it got hold of. Code out of text, by whatever function
 * makes it, would see more than the script that the launcher made.
 */
const ATTEMPTS = `
const modules = [];
for (const name of ["fs", "node:fs", "file:///etc/passwd", "https://example.org/x.js", "java.lang"]) {
  try {
    import(name).then(() => modules.push(name), () => {});
  } catch {
    // There is no such thing.
  }
}
var openJob = () => ({
  describe() {
    const names = ${JSON.stringify(NAMES)};
    const found = names.filter((name) => name in globalThis);
    const tries = {
      eval: () => (0, eval)("1"),
      Function: () => new Function("return 1")(),
      constructor: () => openJob.constructor("return 1")(),
      generator: () => (function* () {}).constructor("yield 1")().next(),
      async: () => (async () => {}).constructor("return 1")(),
      iterator: () => [][Symbol.iterator]().constructor.constructor("return 1")(),
      getClass: () => [..."ab"].getClass().getName(),
      thread: () => new Worker("data:text/javascript,1"),
      type: () => Java.type("java.lang.System").exit(3),
      packages: () => Packages.java.lang.System.getenv(),
      polyglot: () => Polyglot.eval("java", "1"),
      file: () => load("/etc/passwd"),
      context: () => new (Object.getPrototypeOf(async function () {}).constructor)("return 1")(),
    };
    const got = [];
    for (const [name, attempt] of Object.entries(tries)) {
      try {
        attempt();
        got.push(name);
      } catch (error) {
        if (!(error instanceof Error)) got.push(name + " threw " + typeof error);
      }
    }
    globalThis.console?.log("what a script says is nobody's answer");
    return JSON.stringify({ found, got, modules, alive: 6 * 7 });
  },
});
`;

async function openIn(engine: "v8" | "graal", script: string): Promise<{ said: string; rest: string }> {
  const file = join(folder, `${engine}-${crypto.randomUUID()}.json`);
  const settings = { generation: 1, sources: [] };
  await writeFile(file, JSON.stringify({ id: file, engine, script, plan: "", settings, sources: [] }));
  const { stdout } = await promisify(execFile)(host.java, ["-cp", host.classPath, PROBE, file]);
  const lines = stdout.trimEnd().split("\n");
  return { said: lines.at(-1)!, rest: lines.slice(0, -1).join("").trim() };
}

it.each(["v8", "graal"] as const)(
  "the script in %s reaches neither Java, files, network, threads nor the process, and makes no code of text",
  async (engine) => {
    const { said, rest } = await openIn(engine, ATTEMPTS);
    expect(JSON.parse(said)).toEqual({ found: [], got: [], modules: [], alive: 42 });
    // The launcher reads the process's output line by line.
    expect(rest).toBe("");
  },
);
