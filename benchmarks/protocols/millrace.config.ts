import { defineConfig } from "../../src/index.ts";

export default defineConfig({ declarations: "./features.ts" });
