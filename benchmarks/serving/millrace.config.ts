import { defineConfig } from "../../src/index.ts";

/** The Millrace that `serving` measures: all defaults; Redis comes by `MILLRACE_REDIS_URL`. */
export default defineConfig({ declarations: "./features.ts" });
