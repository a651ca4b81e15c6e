import { expect, test } from "vitest";
import { mergeExpositions } from "../../src/monitoring/merge-expositions.ts";
import { createMetrics } from "../../src/monitoring/metrics.ts";
import { parseExposition } from "./parse-exposition.ts";

const family = (name: string, samples: string, type = "gauge"): string =>
  `# HELP ${name} Some help.\n# TYPE ${name} ${type}\n${samples}\n`;

test.each(["text/plain", "application/openmetrics-text"])(
  "the texts of both threads join into one in %s",
  async (accept) => {
    using main = createMetrics({ thread: "main" });
    using pipeline = createMetrics({ thread: "pipeline" });
    const [a, b] = [await main.render(accept), await pipeline.render(accept)];
    const joined = parseExposition(mergeExpositions(a.body, b.body));
    const [first, second] = [parseExposition(a.body), parseExposition(b.body)];
    expect(joined.openmetrics).toBe(accept !== "text/plain");
    expect([...joined.families.keys()].sort()).toEqual(
      [...new Set([...first.families.keys(), ...second.families.keys()])].sort(),
    );
    const samples = (parsed: typeof joined): number =>
      [...parsed.families.values()].reduce((sum, { samples }) => sum + samples.length, 0);
    expect(samples(joined)).toBe(samples(first) + samples(second));
    const threads = joined.families.get("millrace_thread_heap_used_bytes")!.samples.map(({ labels }) => labels.thread);
    expect(threads).toEqual(["main", "pipeline"]);
  },
);

test("a family of both stands once, with the samples of both", () => {
  const merged = mergeExpositions(
    `${family("a", 'a{t="1"} 1')}\n${family("b", "b 1")}`,
    family("a", 'a{t="2"} 2\na{t="3 # {x}"} 3'),
  );
  expect(merged).toBe(`${family("a", 'a{t="1"} 1\na{t="2"} 2\na{t="3 # {x}"} 3')}${family("b", "b 1")}`);
});

test("OpenMetrics ends once, and exemplars stay with their samples", () => {
  const histogram = family("h", 'h_bucket{le="+Inf"} 1 # {trace_id="x"} 0.5 1.1\nh_sum 0.5\nh_count 1', "histogram");
  const merged = mergeExpositions(`${family("a", "a 1")}# EOF\n`, `${histogram}# EOF\n`);
  expect(merged).toBe(`${family("a", "a 1")}${histogram}# EOF\n`);
});

test("an empty text adds nothing", () => {
  const text = family("a", "a 1");
  expect(mergeExpositions(text, "")).toBe(text);
  expect(mergeExpositions("\n", text)).toBe(text);
});

test.each([
  ["formats differ", `${family("a", "a 1")}# EOF\n`, family("b", "b 1")],
  ["a family has two types", family("a", 'a{t="1"} 1'), family("a", 'a{t="2"} 1', "counter")],
  ["a series stands in both", family("a", 'a{t="1"} 1'), family("a", 'a{t="1"} 2')],
  ["a series without labels stands in both", family("a", "a 1"), family("a", "a 2")],
  ["a sample belongs to no family", family("a", "a 1"), "b 2\n"],
])("it is a bug when %s", (_why, a, b) => {
  expect(() => mergeExpositions(a, b)).toThrow(expect.objectContaining({ code: "METRICS_CLASH", kind: "bug" }));
});
