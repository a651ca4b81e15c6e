export { defineConfig, type MillraceConfig } from "./config/config.ts";
export type { RetentionConfig } from "./config/retention.ts";
export { type OfflineConfig, type OnlineConfig, postgres, redis } from "./config/store-config.ts";
export * from "./definitions/index.ts";
