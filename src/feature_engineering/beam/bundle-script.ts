import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Bundles what runs in Beam's workers, and all that it imports, to one script that makes a global `millrace`. */
export async function bundleScript(): Promise<string> {
  const { rolldown } = await import("rolldown");
  const bundle = await rolldown({
    input: join(dirname(fileURLToPath(import.meta.url)), "script", "main.ts"),
    platform: "neutral",
    logLevel: "warn",
  });
  try {
    const { output } = await bundle.generate({ format: "iife", name: "millrace" });
    return output[0].code;
  } finally {
    await bundle.close();
  }
}
