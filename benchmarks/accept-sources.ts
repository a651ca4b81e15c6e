import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const FILES = [
  "message-source-conformance",
  "kafka-source",
  "kafka-security",
  "kafka-reset",
  "kafka-lag",
  "kafka-cluster",
  "kafka-pipeline",
  "kinesis-source",
  "kinesis-pipeline",
  "pubsub-source",
  "pubsub-pipeline",
  "schema-registry",
] as const;

interface Results {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly status: string;
      readonly duration?: number;
    }[];
  }[];
}

/**
 * Acceptance: what each source passes on a real server or on a stand-in for it: the conformance suite by source, then
 * the tests of its own by file. With names of files, only those.
 */
export async function run(args: readonly string[]): Promise<void> {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const folder = await mkdtemp(join(tmpdir(), "millrace-sources-"));
  const output = join(folder, "results.json");
  const files = FILES.filter((file) => args.length === 0 || args.includes(file));
  try {
    const child = spawn(
      process.execPath,
      [
        join(root, "node_modules/vitest/vitest.mjs"),
        ...["run", "--config", "vitest.integration.config.ts", "--reporter=json", `--outputFile=${output}`],
        ...files.map((file) => `integration/${file}.test.ts`),
      ],
      { cwd: root, stdio: ["ignore", "ignore", "inherit"] },
    );
    await once(child, "exit");
    const { testResults } = JSON.parse(await readFile(output, "utf8")) as Results;
    const counts = new Map<string, { passed: number; failed: number; seconds: number }>();
    for (const { name, assertionResults } of testResults) {
      const file = basename(name, ".test.ts");
      for (const { ancestorTitles, status, duration = 0 } of assertionResults) {
        const what = file === FILES[0] ? `conformance: ${ancestorTitles[0] ?? ""}` : file;
        const count = counts.get(what) ?? { passed: 0, failed: 0, seconds: 0 };
        counts.set(what, count);
        if (status === "passed") count.passed++;
        else count.failed++;
        count.seconds += duration / 1_000;
      }
    }
    const rows = [...counts].map(([what, { passed, failed, seconds }]) => [what, passed, failed, seconds.toFixed(0)]);
    for (const row of [["suite", "passed", "not passed (aim: 0)", "seconds"], ...rows]) {
      process.stdout.write(
        `${String(row[0]).padEnd(48)}${row
          .slice(1)
          .map((cell) => String(cell).padEnd(22))
          .join("")}`.trimEnd(),
      );
      process.stdout.write("\n");
    }
    const failed = [...counts.values()].reduce((sum, count) => sum + count.failed, 0);
    if (failed > 0 || files.length !== testResults.length) process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
