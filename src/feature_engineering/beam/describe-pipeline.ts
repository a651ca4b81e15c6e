import type { RowFunction } from "../../definitions/expression.ts";
import type { Declarations } from "../plan/collect-declarations.ts";
import type { Json, JsonObject } from "../plan/json.ts";
import { type Plan, planText } from "../plan/plan.ts";
import { open } from "./script/main.ts";

export interface DescribedPipeline {
  readonly source: string;
  /** What the workers say of the source: see `WorkerScript.describe`. */
  readonly pipeline: Json;
  /** For a person, one step per line. */
  readonly text: string;
}

interface Described {
  readonly has_id: boolean;
  readonly clock: "wall" | "stream";
  readonly branches: readonly { readonly hop_ms: number; readonly retention_ms: number | null }[];
}

/** The graph of a source's pipeline, as the host builds it. */
export function describePipeline(plan: Plan, { views, sources }: Declarations, source: string): DescribedPipeline {
  const settings = { name: source, from: null, until: null, history: true, cells: "json", nulls: [] };
  // Compiled to be looked at: nothing is run.
  const functions = new Proxy<Record<string, RowFunction>>({}, { get: () => () => null });
  const script = open(planText(plan), JSON.stringify({ sources: [settings], generation: 0 }), functions, null);
  const [pipeline] = JSON.parse(script.describe()) as [Described & JsonObject];
  const own = views.filter((view) => view.source.name === source).map((view) => view.name);
  const connector = sources.find((one) => one.name === source)?.connector.connector ?? "";
  const lines = [
    `${source} (${connector})`,
    ...(pipeline.has_id
      ? ["├─ identify: decode, validate, id and payload hash", "├─ distinct: the first of each id and event time"]
      : []),
    `├─ fold: decode, validate, where, derive; views ${own.join(", ")}`,
    ...pipeline.branches.flatMap(({ hop_ms, retention_ms }) => [
      `│  ├─ tiles of ${hop_ms === 0 ? "all time" : duration(hop_ms)}: written 1 s after an event, kept ${retention_ms === null ? "for ever" : duration(retention_ms)}${pipeline.clock === "stream" ? " (nothing is late)" : ""}`,
    ]),
    "│  └─ store: merge into values by compare-and-set → Redis",
    "└─ history: events, dead letters, positions → PostgreSQL",
  ];
  return { source, pipeline, text: lines.join("\n") };
}

function duration(ms: number): string {
  for (const [unit, length] of [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["m", 60_000],
  ] as const) {
    if (ms >= length && ms % length === 0) return `${ms / length} ${unit}`;
  }
  return `${ms / 1_000} s`;
}
