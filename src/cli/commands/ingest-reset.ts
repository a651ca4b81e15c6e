import { millraceError } from "../../definitions/errors.ts";
import { readTime } from "../../feature_store/lookup.ts";
import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";

interface ResetAnswer {
  readonly partitions: readonly {
    readonly partition: string;
    readonly before: number | null;
    readonly after: number | null;
  }[];
}

/** Moves where a source is read on, while nobody reads it. */
export async function ingestReset(
  options: GlobalOptions & { readonly source: string; readonly to: string; readonly dryRun?: boolean },
): Promise<void> {
  const to = placeOf(options.to);
  await using connection = await connect(await configOf(options));
  const answer = await connection.ask<ResetAnswer>("POST", `/v1/sources/${options.source}/reset`, {
    to,
    dry_run: options.dryRun ?? false,
  });
  print(options, answer, () =>
    table([
      ["partition", "next was", options.dryRun ? "would be" : "next is", ""],
      ...answer.partitions.map(({ partition, before, after }) => [
        partition,
        before === null ? "?" : String(before),
        after === null ? options.to : String(after),
        before === null || after === null || before === after
          ? ""
          : before > after
            ? `${before - after} come again`
            : `${after - before} left out`,
      ]),
    ]),
  );
}

/** `earliest`, `latest`, a moment, or `partition=offset,…`. */
function placeOf(text: string): string | Readonly<Record<string, number>> {
  if (text === "earliest" || text === "latest") return text;
  if (text.includes("=")) {
    const pairs = text.split(",").map((pair) => /^(.+)=(\d+)$/.exec(pair.trim()));
    if (pairs.every((pair) => pair !== null)) {
      return Object.fromEntries(pairs.map(([, partition, offset]) => [partition!, Number(offset)]));
    }
  } else if (readTime(text) !== null) return text;
  throw millraceError(
    "OPTION_INVALID",
    `--to ${text} must be earliest, latest, a time (ISO 8601 with a zone, such as 2026-11-01T00:00:00Z), or offsets by partition (payments:0=1200,payments:1=900).`,
  );
}
