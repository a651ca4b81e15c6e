import { defineConfig } from "vitest/config";

const config: ReturnType<typeof defineConfig> = defineConfig({
  test: {
    include: ["integration/**/*.test.ts"],
    pool: "forks",
    // Each file starts the services that it needs: one at a time fits into a small machine.
    maxWorkers: 1,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});

export { config as default };
