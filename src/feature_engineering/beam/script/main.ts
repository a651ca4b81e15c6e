import type { RowFunction } from "../../../definitions/expression.ts";
import { createByteReader } from "../../encoding/byte-reader.ts";
import { createByteWriter } from "../../encoding/byte-writer.ts";
import { parsePlan } from "../../plan/plan.ts";
import { type PlannedDeclarations, readPlan } from "../../plan/read-plan.ts";
import type { ViewLayout } from "../../windows/view-layout.ts";
import { type FitScript, openFit } from "./fit-script.ts";
import { createFold } from "./fold-messages.ts";
import { createIdentify } from "./identify-messages.ts";
import type { JobSettings } from "./job-settings.ts";
import { compactPartials, mergeTiles } from "./merge-tiles.ts";
import type { Protobuf } from "./protobuf-message.ts";
import { createSourceRuntime, type SourceRuntime } from "./source-runtime.ts";

/**
 * What the Java host calls, over bytes. Frames name their source by its index first; see `message-frame.ts`,
 * `fold-messages.ts`, `identify-messages.ts` and `merge-tiles.ts` for the rest. Not safe for calls at once.
 */
export interface WorkerScript {
  /** Decodes, validates and folds a bundle of messages into partial tiles. */
  fold(text: string, frame: ArrayBuffer): Uint8Array;
  /** Says which event each message is. */
  identify(text: string, frame: ArrayBuffer): Uint8Array;
  /** One partial tile of several. */
  compact(text: string, partials: ArrayBuffer): Uint8Array;
  /** Tiles into packed values. */
  merge(text: string, frame: ArrayBuffer): Uint8Array;
  /** Per source: its tile sizes in milliseconds with how long each is of use, and whether events have ids; as JSON. */
  describe(): string;
}

/**
 * Compiles the plan's views for a job; `functions` has the plan's by their texts, `protobuf` is null where nothing is
 * decoded. @throws `PLAN_UNREADABLE`, `SCHEMA_INVALID`
 */
export function open(
  planText: string,
  settingsText: string,
  functions: Readonly<Record<string, RowFunction>>,
  protobuf: Protobuf | null,
): WorkerScript {
  const { settings, declarations } = readJob(planText, settingsText, functions);
  const layouts = new Map<number, ViewLayout>();
  const runtimes = settings.sources.map((source): SourceRuntime => {
    const meta = declarations.sources.find((one) => one.name === source.name)!;
    const views = declarations.views.filter((view) => view.source.name === source.name);
    const runtime = createSourceRuntime(meta, source, views, protobuf);
    for (const { number, layout } of runtime.views) layouts.set(number, layout);
    return runtime;
  });
  const folds = runtimes.map(createFold);
  const identifiers = runtimes.map(createIdentify);
  const out = createByteWriter(1 << 20);
  const call = (run: () => void): Uint8Array => {
    out.reset();
    run();
    return out.finish();
  };

  return {
    fold: (text, bytes) => {
      const frame = createByteReader(new Uint8Array(bytes));
      return call(() => folds[frame.varint()]!(text, frame, out));
    },
    identify: (text, bytes) => {
      const frame = createByteReader(new Uint8Array(bytes));
      return call(() => identifiers[frame.varint()]!(text, frame, out));
    },
    compact: (_text, partials) => compactPartials(layouts, new Uint8Array(partials)),
    merge: (_text, bytes) => call(() => mergeTiles(layouts, createByteReader(new Uint8Array(bytes)), out)),
    describe: () => JSON.stringify(runtimes.map(describeSource)),
  };
}

/** The same for a job that fits a service. @throws also `SERVICE_UNKNOWN` */
export function openFitting(...[planText, settingsText, functions, protobuf]: Parameters<typeof open>): FitScript {
  const { settings, declarations } = readJob(planText, settingsText, functions);
  return openFit(declarations, settings, settings.fit!, protobuf);
}

/** Whether a job fits a service. */
export function isFitting(settingsText: string): boolean {
  return (JSON.parse(settingsText) as JobSettings).fit !== undefined;
}

function readJob(
  planText: string,
  settingsText: string,
  functions: Readonly<Record<string, RowFunction>>,
): { readonly settings: JobSettings; readonly declarations: PlannedDeclarations } {
  return {
    settings: JSON.parse(settingsText) as JobSettings,
    declarations: readPlan(parsePlan(planText), (source) => functions[source]!),
  };
}

function describeSource({ source, views, hops }: SourceRuntime): object {
  const retentionOf = (hopMs: number): number | null => {
    const reaches = views.flatMap(({ layout }) =>
      layout.families.filter((family) => family.hopMs === hopMs).map((family) => family.reachMs),
    );
    const reach = Math.max(...reaches) + source.futureBoundMs + hopMs;
    return Number.isFinite(reach) ? reach : null;
  };
  return {
    name: source.name,
    has_id: source.id !== null || source.kind === "table_source",
    clock: source.clock,
    lateness_ms: source.latenessMs,
    branches: hops.map((hopMs) => ({ hop_ms: hopMs, retention_ms: retentionOf(hopMs) })),
  };
}
