/** The Millrace that `feast-online` measures, whole and on its defaults. Prints its address; takes the rows by `/push`. */
import { fileURLToPath } from "node:url";
import pino from "pino";
import { type MillraceConfig, resolveConfig } from "../../src/config.ts";
import { openPlatform } from "../../src/platform.ts";

const [data = "", store = "lmdb"] = process.argv.slice(2);
const here = fileURLToPath(new URL(".", import.meta.url));
const stores = store === "lmdb" ? {} : { online: { redis: store } };
const config: MillraceConfig = { declarations: "features.ts", ...stores };
const resolved = resolveConfig(config, here, { MILLRACE_DATA: data, MILLRACE_PORT: "0" });
const platform = await openPlatform(resolved, { log: pino({ level: "error" }) });
await platform.ready();
process.stdout.write(`${platform.url}\n`);
process.on("SIGTERM", () => void platform.close().then(() => process.exit(0)));
