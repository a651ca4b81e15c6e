export * from "./definitions/index.ts";
