import { claimDataFolder } from "../../src/processes/process-file.ts";

/** Run as a process of its own: claims the folder, says so, and stays until its input ends. */
const [data, url = null] = process.argv.slice(2);
try {
  const claim = await claimDataFolder(data!, { pid: process.pid, url, token: "secret" });
  process.stdout.write("owner\n");
  process.stdin.on("end", () => void claim.release().then(() => process.exit(0)));
  process.stdin.resume();
} catch (error) {
  process.stdout.write(`${(error as { code?: string }).code}: ${(error as Error).message}\n`);
}
