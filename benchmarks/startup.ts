import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** From `npm start` to ready, and to the first prediction. */
export async function run(): Promise<void> {
  const folder = fileURLToPath(new URL("..", import.meta.url));
  const started = performance.now();
  const child = spawn("npm", ["start"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
    env: { ...process.env, MILLRACE_PORT: "0" },
  });
  const seconds = (): string => ((performance.now() - started) / 1_000).toFixed(1);
  for await (const line of createInterface(child.stdout!)) {
    if (line.startsWith("Millrace is ready"))
      process.stdout.write(`npm start to ready: ${seconds()} s   (aim: under 5 s)\n`);
    if (!line.startsWith("First prediction")) continue;
    process.stdout.write(`npm start to first prediction: ${seconds()} s\n`);
    process.kill(-child.pid!, "SIGKILL");
    return;
  }
}
