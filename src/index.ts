export { defineConfig, type MillraceConfig } from "./config.ts";
export * from "./definitions/index.ts";
