import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { appendAudit } from "../../../src/api/auth/append-audit.ts";

it("makes the folder of the audit log if it is not there, and adds a line for each act", async () => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-audit-"));
  try {
    const file = join(folder, "data", "audit.jsonl");
    await appendAudit(file, { act: 1 });
    await appendAudit(file, { act: 2 });
    expect(await readFile(file, "utf8")).toBe('{"act":1}\n{"act":2}\n');
    expect((await stat(file)).mode & 0o077).toBe(0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
