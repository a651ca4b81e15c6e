import { describe, expect, it } from "vitest";
import { sumExpositions, toTextFormat } from "../../src/monitoring/sum-expositions.ts";

const text = (n: number): string => `# HELP a A.
# TYPE a counter
a_total{model="x} y"} ${n}
# HELP h H.
# TYPE h histogram
h_bucket{le="1"} ${n}
h_bucket{le="+Inf"} ${2 * n}
h_sum ${n / 2}
h_count ${2 * n}
# HELP process_open_fds F.
# TYPE process_open_fds gauge
process_open_fds ${n}
# HELP last_seconds L.
# TYPE last_seconds gauge
last_seconds ${n}
# EOF
`;

describe("the metrics of several processes", () => {
  it("add up where they count, and where each has its share; of other gauges the largest stands for all", () => {
    const sum = sumExpositions([text(3), text(5)]);
    expect(sum.split("\n").filter((line) => !line.startsWith("#"))).toEqual([
      'a_total{model="x} y"} 8',
      'h_bucket{le="1"} 8',
      'h_bucket{le="+Inf"} 16',
      "h_sum 4",
      "h_count 16",
      "process_open_fds 8",
      "last_seconds 5",
      "",
    ]);
    expect(sum.match(/# TYPE/g)).toHaveLength(4);
  });

  it("keep of an ended process what it counted, and nothing that only a living one has", () => {
    const sum = sumExpositions([text(3)], [text(100)]);
    expect(sum).toContain('a_total{model="x} y"} 103');
    expect(sum).toContain("h_count 206");
    expect(sum).toContain("process_open_fds 3");
    expect(sum).toContain("last_seconds 3");
    expect(sumExpositions([], [text(7)])).not.toContain("gauge");
  });

  it("are nothing where there is nothing", () => {
    expect(sumExpositions([], ["", ""])).toBe("");
  });

  it("name families of counters with _total in the text format", () => {
    const lines = toTextFormat(text(1)).split("\n");
    expect(lines.slice(0, 3)).toEqual(["# HELP a_total A.", "# TYPE a_total counter", 'a_total{model="x} y"} 1']);
    expect(lines.slice(-2)).toEqual(["last_seconds 1", ""]);
  });

  it("keep the newest exemplar of a bucket, which the text format leaves out", () => {
    const bucket = (count: number, trace: string, at: number): string =>
      `# TYPE h histogram\nh_bucket{le="1"} ${count} # {trace_id="${trace}"} 0.5 ${at}\n# EOF\n`;
    const plain = '# TYPE h histogram\nh_bucket{le="1"} 4\n# EOF\n';
    const sum = sumExpositions([bucket(1, "aa", 100), bucket(2, "bb", 200), plain], [bucket(3, "cc", 150)]);
    expect(sum).toBe('# TYPE h histogram\nh_bucket{le="1"} 10 # {trace_id="bb"} 0.5 200\n# EOF\n');
    expect(toTextFormat(sum)).toBe('# TYPE h histogram\nh_bucket{le="1"} 10\n');
  });
});
