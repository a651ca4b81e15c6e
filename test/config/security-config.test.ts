import { expect, it } from "vitest";
import { resolveSecurity } from "../../src/config/security-config.ts";

it("asks for keys on every address but this machine's own", () => {
  for (const host of ["127.0.0.1", "localhost", "::1"])
    expect(resolveSecurity({}, {}, host, "/d").requireKeys).toBe(false);
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.com"]) {
    expect(resolveSecurity({}, {}, host, "/d").requireKeys).toBe(true);
  }
  expect(resolveSecurity({ requireKeys: false }, {}, "0.0.0.0", "/d").requireKeys).toBe(false);
  expect(resolveSecurity({}, { MILLRACE_REQUIRE_KEYS: "true" }, "localhost", "/d").requireKeys).toBe(true);
});

it("refuses what it cannot mean, naming it", () => {
  for (const env of [
    { MILLRACE_REQUIRE_KEYS: "maybe" },
    { MILLRACE_RATE_LIMIT: "0" },
    { MILLRACE_CORS_ORIGINS: "*" },
    { MILLRACE_CORS_ORIGINS: "https://a.example.com/path" },
  ]) {
    expect(() => resolveSecurity({}, env, "localhost", "/d")).toThrow(Object.keys(env)[0]);
  }
});
