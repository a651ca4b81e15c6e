import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MillraceError } from "../../../src/definitions/errors.ts";
import { hideSecrets } from "../../../src/monitoring/logging/hide-secrets.ts";
import { debugOnSignal, type LogOptions, openLog } from "../../../src/monitoring/logging/open-log.ts";
import { readableLine } from "../../../src/monitoring/logging/readable-line.ts";
import { secretsOf } from "../../../src/monitoring/logging/secrets-of.ts";

let lines: string[] = [];
const open = (options: Partial<LogOptions> = {}) =>
  openLog({ level: "info", format: "json", secrets: [], write: (line) => lines.push(line), ...options });
const parsed = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
const storeDown = () => new MillraceError("STORE_UNAVAILABLE", "The store is away.", { kind: "operational" });

beforeEach(() => {
  lines = [];
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a log", () => {
  it("writes a failure that repeats once, then how often it came", () => {
    const log = open();
    for (let i = 0; i < 500; i++) log.error({ err: storeDown() }, "request failed");
    expect(parsed()).toMatchObject([{ msg: "request failed", err: { code: "STORE_UNAVAILABLE" } }]);
    vi.advanceTimersByTime(60_000);
    for (let i = 0; i < 7; i++) log.error({ err: storeDown() }, "request failed");
    vi.advanceTimersByTime(60_000);
    expect(parsed().map(({ repeated }) => repeated)).toEqual([undefined, 499, 7]);
    vi.advanceTimersByTime(180_000);
    log.error({ err: storeDown() }, "request failed");
    expect(parsed().map(({ repeated }) => repeated)).toEqual([undefined, 499, 7, undefined]);
  });

  it("counts lines of children with their writer's fields, and tells models, sources and errors apart", () => {
    const log = open();
    const child = log.child({ reqId: "req-1" });
    child.warn({ model: "a" }, "model version could not be loaded");
    log.child({ reqId: "req-2" }).warn({ model: "a" }, "model version could not be loaded");
    log.warn({ model: "b" }, "model version could not be loaded");
    log.warn({ model: "a", err: storeDown() }, "model version could not be loaded");
    vi.advanceTimersByTime(60_000);
    expect(parsed()).toMatchObject([
      { reqId: "req-1", model: "a" },
      { model: "b" },
      { model: "a", err: {} },
      { reqId: "req-2", model: "a", repeated: 1 },
    ]);
  });

  it("never holds back what is no warning", () => {
    const log = open();
    for (let i = 0; i < 3; i++) log.info("a version serves");
    expect(lines).toHaveLength(3);
  });

  it("says of an error its code, message, details and causes, and nothing else that it has", () => {
    const cause = Object.assign(new Error("WRONGPASS"), { command: { name: "auth", args: ["swordfish"] } });
    const error = new MillraceError("STORE_UNAVAILABLE", "The store refuses.", { details: { store: "redis" }, cause });
    open().error({ err: error }, "request failed");
    expect(lines[0]).not.toContain("swordfish");
    expect(parsed()[0]!.err).toEqual({
      type: "MillraceError",
      code: "STORE_UNAVAILABLE",
      message: "The store refuses.",
      details: { store: "redis" },
      cause: { type: "Error", message: "WRONGPASS" },
    });
  });

  it("hides known secrets, passwords of URLs and credentials, however they are written", () => {
    const log = open({ secrets: ['sword"fish', "p@ss/word"] });
    log.info(
      { a: 'sword"fish', b: encodeURIComponent("p@ss/word"), c: "redis://u:other@h", d: "Bearer abcdef123" },
      "x",
    );
    expect(parsed()[0]).toMatchObject({
      a: "[hidden]",
      b: "[hidden]",
      c: "redis://u:[hidden]@h",
      d: "Bearer [hidden]",
    });
  });

  it("changes between its level and debug with each signal", () => {
    const log = open();
    debugOnSignal(log);
    log.debug("unseen");
    process.emit("SIGUSR2");
    log.debug("seen");
    process.emit("SIGUSR2");
    log.debug("unseen");
    expect(parsed().map(({ msg }) => msg)).toEqual(["seen"]);
  });

  it("is readable as text", () => {
    open({ format: "text" }).error({ err: storeDown(), route: "/v1/x" }, "request failed");
    expect(lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} ERROR request failed route=\/v1\/x\n {4}STORE_UNAVAILABLE: The store is away\.\n$/,
    );
    expect(readableLine("no JSON", false)).toBe("no JSON");
  });
});

describe("secrets", () => {
  it("are found in a configuration by their names, in headers and in URLs", () => {
    const config = {
      online: { url: "redis://u:hot%40store@h:1", password: "of-redis" },
      connections: {
        mlflow: { m: { token: "of-mlflow", webhookSecret: "of-webhook", headers: { "x-any": "of-header" } } },
        kafka: { default: { sasl: { mechanism: "PLAIN", username: "visible", password: "of-kafka" } } },
      },
      server: { adminToken: "of-admin", keysFile: "/visible/keys.json", tls: { keyFile: "/visible/key.pem" } },
    };
    expect([...secretsOf(config, {})].sort()).toEqual(
      ["hot%40store", "hot@store", "of-redis", "of-mlflow", "of-webhook", "of-header", "of-kafka", "of-admin"].sort(),
    );
  });

  it("are found in variables, but not in names of files or in what is too short", () => {
    const env = {
      MILLRACE_ADMIN_TOKEN: "of-admin",
      MILLRACE_POSTGRES_URL: "postgres://u:of-pg1@h/d",
      MILLRACE_TLS_KEY_FILE: "/visible/key",
      AWS_SECRET_ACCESS_KEY: "of-aws",
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20of-otel,x=of-more",
      X_PASSWORD: "a",
    };
    const found = secretsOf(null, env);
    for (const secret of ["of-admin", "of-pg1", "of-aws", "of-otel", "of-more"]) expect(found).toContain(secret);
    expect(found).not.toContain("/visible/key");
    expect(found).not.toContain("a");
  });

  it("of which one begins with another are hidden whole", () => {
    expect(hideSecrets(["abcdef", "abcdef-longer"])("x abcdef-longer y")).toBe("x [hidden] y");
  });
});
