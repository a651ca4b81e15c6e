// Adds up vitest's JSON reports, repeats what failed and prints the last line of .ci/run. Plain JavaScript, since it must also run where the
// install failed and only the system's Node is there.
// Usage: node summary.mjs <folder with <suite>.json, <suite>.exit and <suite>.log> [failed step]...
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

const [folder, ...failedSteps] = process.argv.slice(2);
let passed = 0;
let failed = failedSteps.length;
let skipped = 0;
for (const step of failedSteps) console.log(`step failed: ${step}`);

for (const file of readdirSync(folder).filter((name) => name.endsWith(".exit"))) {
  const suite = path.basename(file, ".exit");
  const exitCode = Number(readFileSync(path.join(folder, file), "utf8"));
  const report = readReport(path.join(folder, `${suite}.json`));
  const failures = report.numFailedTests ?? 0;
  passed += report.numPassedTests ?? 0;
  skipped += (report.numPendingTests ?? 0) + (report.numTodoTests ?? 0);
  // A file that cannot be loaded, an unhandled error and a crash of the runner fail no test of their own.
  const unseen = failures === 0 && (exitCode !== 0 || report.success === false) ? 1 : 0;
  failed += failures + unseen;
  if (failures + unseen > 0) console.log(`\n== what failed in ${suite}\n${failuresOf(report)}`);
  if (unseen > 0) {
    console.log(`suite ${suite} failed outside its tests (exit code ${exitCode}); the end of its output:`);
    console.log(endOfLog(path.join(folder, `${suite}.log`)));
  }
}
if (passed + failed === 0) {
  failed = 1;
  console.log("no test ran");
}

console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed > 0 ? 1 : 0;

/** The failed files and tests, each with the first lines of its message. */
function failuresOf(report) {
  const lines = [];
  for (const file of report.testResults ?? []) {
    const tests = file.assertionResults.filter(({ status }) => status === "failed");
    if (file.status !== "failed" && tests.length === 0) continue;
    lines.push(`${path.relative(process.cwd(), file.name)}: ${firstLines(file.message)}`);
    for (const test of tests) lines.push(`  ${test.fullName}: ${firstLines(test.failureMessages.join("\n"))}`);
  }
  return lines.join("\n");
}

function firstLines(message) {
  return message.split("\n").slice(0, 8).join("\n    ").slice(0, 2_000);
}

/** From where vitest begins to tell of failures and of errors outside tests; at most the last hundred lines. */
function endOfLog(file) {
  try {
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    const start = lines.findIndex((line) => /Failed Suites|Failed Tests|Unhandled|exited unexpectedly/.test(line));
    return lines.slice(Math.max(start, lines.length - 100)).join("\n");
  } catch {
    return "(no output was kept)";
  }
}

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return { success: false };
  }
}
