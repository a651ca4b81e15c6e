import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";

interface SourceStatus {
  readonly source: string;
  readonly state: string;
  readonly last_error: string | null;
  readonly partitions: readonly {
    readonly partition: string;
    readonly owner: string | null;
    readonly committed: number;
    readonly lag_messages: number | null;
    readonly lag_seconds: number | null;
  }[];
}

/** Shows each partition of each source: who reads it, and how far behind it is. */
export async function ingestStatus(options: GlobalOptions): Promise<void> {
  await using connection = await connect(await configOf(options));
  const { sources } = await connection.ask<{ sources: readonly SourceStatus[] }>("GET", "/v1/sources/status");
  print(options, { sources }, () =>
    table([
      ["source", "partition", "owner", "offset", "behind", "seconds"],
      ...sources.flatMap(({ source, partitions }) =>
        partitions.map((p) => [
          source,
          p.partition,
          p.owner ?? "nobody",
          String(p.committed),
          p.lag_messages === null ? "?" : String(p.lag_messages),
          p.lag_seconds === null ? "?" : p.lag_seconds.toFixed(1),
        ]),
      ),
    ]),
  );
}
