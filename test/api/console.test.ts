import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTestApi, type TestApi } from "./open-api.ts";

interface Reading {
  readonly time: number;
}
interface Exposition {
  readExposition(text: string, time: number): Reading;
  sumOf(reading: Reading, name: string, labels?: object): number | null;
  largestOf(reading: Reading, name: string, labels?: object): number | null;
  rateOf(before: Reading, after: Reading, name: string, labels?: object): number | null;
  quantileOf(before: Reading, after: Reading, name: string, quantile: number, labels?: object): number | null;
}

describe("the console's page", () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await openTestApi();
  });
  afterAll(() => api.close());

  it("is where a browser is sent, and loads nothing from elsewhere", async () => {
    const sent = await api.server.inject({ url: "/", headers: { accept: "text/html,*/*" } });
    expect([sent.statusCode, sent.headers.location]).toEqual([302, "console"]);
    const page = await api.server.inject({ url: "/console" });
    expect(page.statusCode).toBe(200);
    expect(page.headers["content-type"]).toBe("text/html; charset=utf-8");
    expect(page.headers["content-security-policy"]).toContain("default-src 'none'; script-src 'self'");
    expect(page.body).not.toMatch(/https?:|<script>|style=| on\w+=/);
    const loaded = [...page.body.matchAll(/(?:src|href)="(console\/[^"]+)"/g)].map(([, path]) => path!);
    expect(loaded).toHaveLength(2);
    for (const path of [...loaded, "console/exposition.js"]) {
      const asset = await api.server.inject({ url: `/${path}` });
      expect([path, asset.statusCode]).toEqual([path, 200]);
      expect(asset.headers["content-type"]).toMatch(path.endsWith("css") ? /^text\/css/ : /^text\/javascript/);
      expect(asset.body).not.toContain("innerHTML");
    }
    const slash = await api.server.inject({ url: "/console/" });
    expect([slash.statusCode, slash.headers.location]).toEqual([302, "../console"]);
  });

  it("is JSON for others", async () => {
    const answer = await api.request("GET", "/");
    expect(answer.body).toMatchObject({ name: "millrace", links: { console: "/console", metrics: "/metrics" } });
  });
});

describe("what the console reads from metrics", async () => {
  const path = new URL("../../src/api/console/exposition.js", import.meta.url).href;
  const { readExposition, sumOf, largestOf, rateOf, quantileOf } = (await import(path)) as Exposition;

  it("sums by labels, whose values may hold anything", () => {
    const reading = readExposition(
      '# HELP a x\n# TYPE a counter\na{m="x",o="ok"} 2\na{m="x",o="no"} 3\na{m="a\\"b,c}\\\\",o="ok"} 5\nb 1.5e3 1700000000\nc +Inf\n',
      0,
    );
    expect(sumOf(reading, "a")).toBe(10);
    expect(sumOf(reading, "a", { m: "x" })).toBe(5);
    expect(sumOf(reading, "a", { m: 'a"b,c}\\' })).toBe(5);
    expect(largestOf(reading, "a")).toBe(5);
    expect(sumOf(reading, "b")).toBe(1500);
    expect(sumOf(reading, "c")).toBe(Number.POSITIVE_INFINITY);
    expect(sumOf(reading, "d")).toBeNull();
  });

  it("gives rates per second, also over a restart", () => {
    const before = readExposition("n 10", 0);
    expect(rateOf(before, readExposition("n 30", 4_000), "n")).toBe(5);
    expect(rateOf(before, readExposition("n 6", 2_000), "n")).toBe(3);
    expect(rateOf(readExposition("", 0), readExposition("n 6", 2_000), "n")).toBe(3);
    expect(rateOf(before, before, "n")).toBeNull();
  });

  it("gives quantiles of what came between two readings, within the bucket of the true one", () => {
    const bounds = [0.1, 0.2, 0.5, 1, 2];
    const text = (values: readonly number[]): string =>
      [...bounds, Number.POSITIVE_INFINITY]
        .map(
          (le) =>
            `h_bucket{le="${le === Number.POSITIVE_INFINITY ? "+Inf" : le}"} ${values.filter((v) => v <= le).length}`,
        )
        .join("\n");
    const latencies = fc.array(fc.double({ min: 0.001, max: 2, noNaN: true }), { maxLength: 50 });
    fc.assert(
      fc.property(latencies, latencies, fc.constantFrom(0.5, 0.95, 0.99), (old, fresh, q) => {
        const found = quantileOf(readExposition(text(old), 0), readExposition(text([...old, ...fresh]), 1), "h", q);
        if (fresh.length === 0) {
          expect(found).toBeNull();
          return;
        }
        const exact = [...fresh].sort((a, b) => a - b)[Math.max(0, Math.ceil(q * fresh.length) - 1)]!;
        const upper = bounds.find((bound) => exact <= bound)!;
        const lower = bounds[bounds.indexOf(upper) - 1] ?? 0;
        expect(found).toBeGreaterThanOrEqual(lower);
        expect(found).toBeLessThanOrEqual(upper);
      }),
    );
  });
});
