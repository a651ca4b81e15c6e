import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { SingleBar } from "cli-progress";
import { millraceError } from "../../definitions/errors.ts";
import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";

interface Job {
  readonly id: string;
  readonly state: "running" | "done" | "failed" | "stopped";
  readonly loaded: number;
  readonly dead_letters: number;
  readonly views: readonly {
    readonly view: string;
    readonly entities: number;
    readonly total: number | null;
    readonly written: number;
    readonly unchanged: number;
  }[];
  readonly error: string | null;
}

interface BackfillCommandOptions extends GlobalOptions {
  readonly source?: string;
  readonly files?: readonly string[];
}

/** Runs a job to its end; one that was killed goes on. With a server the job is the server's, and outlives the command. */
export async function backfill(
  kind: "materialize" | "backfill",
  views: readonly string[],
  options: BackfillCommandOptions,
): Promise<void> {
  if (options.files !== undefined && options.source === undefined)
    throw millraceError("OPTION_INVALID", "--files belong to a source: name it with --source.");
  await using connection = await connect(await configOf(options));
  let job = await connection.ask<Job>("POST", "/v1/backfills", {
    kind,
    ...(views.length === 0 ? {} : { views }),
    ...(options.source === undefined ? {} : { source: options.source }),
    ...(options.files === undefined ? {} : { files: options.files.map((file) => resolve(file)) }),
  });
  const progress = showProgress();
  try {
    while (job.state === "running") {
      await delay(100);
      job = await connection.ask<Job>("GET", `/v1/backfills/${job.id}`);
      progress.show(job);
    }
  } finally {
    progress.end();
  }
  if (job.state !== "done") {
    throw millraceError("BACKFILL_STOPPED", `The ${kind} ${job.state}: ${job.error ?? "run it again, it goes on."}`, {
      kind: "operational",
    });
  }
  print(options, job, () =>
    [
      ...(options.files === undefined ? [] : [`${job.loaded} events loaded, ${job.dead_letters} dead letters`]),
      table([
        ["view", "entities", "written", "unchanged"],
        ...job.views.map((view) => [view.view, ...[view.entities, view.written, view.unchanged].map(String)]),
      ]),
    ].join("\n"),
  );
}

/** A bar over all entities, while a terminal looks on. */
function showProgress(): { show(job: Job): void; end(): void } {
  if (process.stderr.isTTY !== true) return { show: () => {}, end: () => {} };
  const bar = new SingleBar({
    format: "{loaded} events loaded | {bar} {value}/{total} entities, {duration_formatted}",
    stream: process.stderr,
  });
  bar.start(1, 0, { loaded: 0 });
  return {
    show({ loaded, views }) {
      bar.setTotal(
        Math.max(
          1,
          views.reduce((sum, view) => sum + (view.total ?? 0), 0),
        ),
      );
      bar.update(
        views.reduce((sum, view) => sum + view.entities, 0),
        { loaded },
      );
    },
    end: () => bar.stop(),
  };
}
