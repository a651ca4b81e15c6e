import { writeFile } from "node:fs/promises";
import path from "node:path";
import { rolldown } from "rolldown";

/**
 * `npm run build:beam -- FILE`: bundles what runs in Beam's workers, and all that it imports, to one script, which makes a
 * global `millrace`.
 */
async function build(file: string): Promise<void> {
  const bundle = await rolldown({
    input: path.join(import.meta.dirname, "..", "src/feature_engineering/beam/script/worker.ts"),
    platform: "neutral",
    logLevel: "warn",
  });
  const { output } = await bundle.generate({ format: "iife", name: "millrace" });
  await bundle.close();
  await writeFile(file, output[0].code);
}

await build(path.resolve(process.argv[2] ?? "dist/feature_engineering/beam/worker-script.js"));
