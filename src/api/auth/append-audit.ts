import { appendFile, mkdir } from "node:fs/promises";
import { dirname } from "node:path";

/** Adds a line to the audit log, whose folder is made if it is not there: a server on shared stores may have none yet. */
export async function appendAudit(file: string, entry: object): Promise<void> {
  const line = `${JSON.stringify(entry)}\n`;
  try {
    await appendFile(file, line, { mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await appendFile(file, line, { mode: 0o600 });
  }
}
