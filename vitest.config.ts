import { defineConfig } from "vitest/config";

const config: ReturnType<typeof defineConfig> = defineConfig({
  test: {
    include: ["test/**/*.test.ts", "conformance/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    typecheck: {
      include: ["test/**/*.test-d.ts"],
      // `npm run typecheck` reports those, file by file.
      ignoreSourceErrors: true,
    },
  },
});

export { config as default };
