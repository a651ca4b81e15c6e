import { defineConfig, postgres, redis } from "millrace";

// Passwords come from variables: MILLRACE_REDIS_PASSWORD, MILLRACE_POSTGRES_PASSWORD.
export default defineConfig({
  declarations: "./features.ts",
  online: redis({ url: "redis://redis:6379", durability: "aof" }),
  offline: postgres({ url: "postgres://millrace@postgres:5432/millrace" }),
  connections: { kafka: { default: { brokers: ["kafka:9092"] } } },
});
