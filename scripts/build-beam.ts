import { writeFile } from "node:fs/promises";
import path from "node:path";
import { beamHost } from "../src/feature_engineering/beam/beam-host.ts";
import { bundleScript } from "../src/feature_engineering/beam/bundle-script.ts";

/** `npm run build:beam [FILE]`: bundles the script of Beam's workers, into a file if one is named, and builds the host. */
const [file] = process.argv.slice(2);
const script = await bundleScript();
if (file !== undefined) await writeFile(path.resolve(file), script);
const { classPath } = await beamHost({ onBuild: (what) => process.stderr.write(`${what}\n`) });
process.stdout.write(`script: ${script.length} characters\nclass path: ${classPath}\n`);
