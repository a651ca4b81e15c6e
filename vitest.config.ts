import { defineConfig } from "vitest/config";

const config: ReturnType<typeof defineConfig> = defineConfig({
  test: {
    include: ["test/**/*.test.ts", "conformance/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    // A starved machine takes many times as long; what waits ends by its condition, not by these.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 30_000 } },
    typecheck: {
      include: ["test/**/*.test-d.ts"],
      // `npm run typecheck` reports those, file by file.
      ignoreSourceErrors: true,
    },
  },
});

export { config as default };
