import { defineConfig } from "../../src/index.ts";

/** Nothing is refused, however busy the machine is: what is looked at here is every answer. */
export default defineConfig({ declarations: "./features.ts", server: { queueDelayTargetMs: 0 } });
