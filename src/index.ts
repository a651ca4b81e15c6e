export { defineConfig, type MillraceConfig } from "./config.ts";
export * from "./definitions/index.ts";
export type { RetentionConfig } from "./retention.ts";
export { type OfflineConfig, type OnlineConfig, postgres, redis } from "./store-config.ts";
