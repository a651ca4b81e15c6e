import { mergeExpositions } from "../monitoring/merge-expositions.ts";
import { negotiateFormat, OPENMETRICS } from "../monitoring/negotiate-format.ts";
import { sumExpositions, toTextFormat } from "../monitoring/sum-expositions.ts";

/** One exposition of several processes. What one of them counted stays when it has died, but for its last second. */
export interface GroupMetrics {
  /** A process begins in a place that has this label. */
  begin(label: string, process: number): void;
  /** What the process in that place has counted so far. */
  keep(label: string, process: number, text: string): void;
  /** The process has ended: what it counted last stays. */
  end(label: string, process: number): void;
  render(
    accept: string,
    members: readonly { readonly label: string; readonly process: number; readonly metrics: () => Promise<string> }[],
  ): Promise<{ contentType: string; body: string }>;
}

export interface GroupMetricsOptions {
  /** What this process renders of itself. */
  readonly first: () => Promise<string>;
  readonly pipeline: () => Promise<string>;
}

/** How long a scrape waits for a process, milliseconds: then what it said last is shown. */
const PATIENCE_MS = 2_000;

export function createGroupMetrics({ first, pipeline }: GroupMetricsOptions): GroupMetrics {
  /** By place and process: while one drains, the next one of its place serves. */
  const last = new Map<string, Map<number, string>>();
  let ended = "";

  function keep(label: string, process: number, text: string): void {
    const processes = last.get(label);
    if (processes?.has(process) === true) processes.set(process, text);
  }
  return {
    begin(label, process) {
      const known = last.get(label) ?? new Map<number, string>();
      last.set(label, known.set(process, ""));
    },
    keep,
    end(label, process) {
      const text = last.get(label)?.get(process) ?? "";
      last.get(label)?.delete(process);
      ended = sumExpositions([], [ended, text]);
    },
    async render(accept, members) {
      const [own, ofPipeline] = await Promise.all([first(), pipeline()]);
      await Promise.all(
        members.map(async ({ label, process, metrics }) => {
          const late = Promise.withResolvers<null>();
          const timer = setTimeout(() => late.resolve(null), PATIENCE_MS);
          const text = await Promise.race([metrics().catch(() => null), late.promise]);
          clearTimeout(timer);
          // Kept, so that no later scrape shows less.
          if (text !== null) keep(label, process, text);
        }),
      );
      const texts = [...last.values()].flatMap((processes) => [...processes.values()]);
      const text = mergeExpositions(sumExpositions([own, ...texts], [ended]), ofPipeline);
      return negotiateFormat(accept) === "openmetrics"
        ? { contentType: `${OPENMETRICS}; charset=utf-8`, body: text }
        : { contentType: "text/plain; version=0.0.4; charset=utf-8", body: toTextFormat(text) };
    },
  };
}
