import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";

interface Report {
  readonly keyspaces: readonly {
    readonly keyspace: string;
    readonly last_plan: number | null;
    readonly dropped: boolean;
  }[];
  readonly kept: number;
}

/** Drops key spaces of the hot store that the last plans do not have, or lists them. */
export async function prune(
  options: GlobalOptions & { readonly plans: number; readonly unapplied?: boolean; readonly dryRun?: boolean },
): Promise<void> {
  await using connection = await connect(await configOf(options));
  const report = await connection.ask<Report>("POST", "/v1/prune", {
    plans: options.plans,
    unapplied: options.unapplied === true,
    dry_run: options.dryRun === true,
  });
  print(options, report, () =>
    report.keyspaces.length === 0
      ? `Nothing to drop: ${report.kept} key spaces are in use.`
      : table([
          ["key space", "last plan", "dropped"],
          ...report.keyspaces.map((one) => [
            one.keyspace,
            one.last_plan === null ? "none" : String(one.last_plan),
            one.dropped ? "yes" : "no",
          ]),
        ]),
  );
}
