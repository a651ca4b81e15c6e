import { defineConfig } from "../../src/index.ts";

/** The Millrace that `feast-online` measures: all defaults; Redis comes by `MILLRACE_REDIS_URL`. */
export default defineConfig({ declarations: "./features.ts" });
