// Adds up vitest's JSON reports and prints the last line of .ci/run. Plain JavaScript, since it must also run where the
// install failed and only the system's Node is there.
// Usage: node summary.mjs <folder with <suite>.json and <suite>.exit> [failed step]...
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
  if (unseen > 0) console.log(`suite ${suite} failed outside its tests (exit code ${exitCode})`);
}
if (passed + failed === 0) {
  failed = 1;
  console.log("no test ran");
}

console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed > 0 ? 1 : 0;

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return { success: false };
  }
}
