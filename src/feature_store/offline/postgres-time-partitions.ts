import type { PoolClient } from "pg";
import type { LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import type { PartitionInterval, PostgresDatabase } from "./postgres-database.ts";
import { quoted } from "./postgres-text.ts";
import { timeText } from "./postgres-time.ts";

/** An interval of time and the table of its events. */
interface TimePartition {
  /** What the table's name ends with, after `$`. */
  readonly suffix: string;
  readonly from: number;
  readonly before: number;
}

/**
 * Times out of these bounds share two tables, so that a source with wrong clocks does not make tables without end.
 * There is no DEFAULT partition: adding one beside it would lock out the readers of all.
 */
const FIRST: number = Date.UTC(2000, 0);
const LAST: number = Date.UTC(2100, 0);

/** The tables that hold a source's events by time: made when an event needs them. */
export interface TimePartitions {
  /** The statements that make the two for times out of bounds, with the parent. */
  readonly edges: string;
  /** Makes what is missing for these events. Not within a transaction. */
  ensure(client: PoolClient, events: readonly LoggedEvent[]): Promise<void>;
  /** Where the table of all earlier times ends; epoch milliseconds. */
  readonly first: number;
  /** Forgets what is known, as another process may have dropped some. */
  forget(): void;
}

export function timePartitions(
  { schema, schemaName }: Pick<PostgresDatabase, "schema" | "schemaName">,
  tableName: string,
  interval: PartitionInterval,
): TimePartitions {
  const parent = `${schema}.${quoted(tableName)}`;
  const known = new Map<string, TimePartition>();
  const leaf = (suffix: string): string => `${schema}.${quoted(`${tableName}$${suffix}`)}`;

  function missing(events: readonly LoggedEvent[]): TimePartition[] {
    const found: TimePartition[] = [];
    const seen = new Set<string>();
    let from = FIRST;
    let before = FIRST;
    for (const { eventTime } of events) {
      if ((eventTime >= from && eventTime < before) || eventTime < FIRST || eventTime >= LAST) continue;
      const partition = partitionOf(eventTime, interval);
      ({ from, before } = partition);
      if (known.has(partition.suffix) || seen.has(partition.suffix)) continue;
      seen.add(partition.suffix);
      found.push(partition);
    }
    return found;
  }

  return {
    edges: `CREATE TABLE ${leaf("before_2000")} PARTITION OF ${parent} FOR VALUES FROM (MINVALUE) TO (${bound(FIRST)});
            CREATE TABLE ${leaf("from_2100")} PARTITION OF ${parent} FOR VALUES FROM (${bound(LAST)}) TO (MAXVALUE)`,
    async ensure(client, events) {
      for (const partition of missing(events)) {
        const { suffix, from, before } = partition;
        await client.query("BEGIN");
        // One at a time makes partitions of a table, in whatever process.
        await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", [`${schemaName}.${tableName}`]);
        const present = await client.query("SELECT to_regclass($1) AS name", [leaf(suffix)]);
        if (present.rows[0].name === null) {
          // Made apart and then attached, which lets readers and writers of the others go on.
          await client.query(
            `CREATE TABLE ${leaf(suffix)} (LIKE ${parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE);
             ALTER TABLE ${parent} ATTACH PARTITION ${leaf(suffix)} FOR VALUES FROM (${bound(from)}) TO (${bound(before)})`,
          );
        }
        await client.query("COMMIT");
        known.set(suffix, partition);
      }
    },
    first: FIRST,
    forget: () => known.clear(),
  };
}

function bound(time: number): string {
  return `'${timeText(time)}'`;
}

/** Intervals are of UTC. */
function partitionOf(time: number, interval: PartitionInterval): TimePartition {
  const date = new Date(time);
  const year = date.getUTCFullYear();
  const month = date.getUTCMonth();
  const day = date.getUTCDate();
  const pad = (value: number): string => String(value).padStart(2, "0");
  if (interval === "year") return { suffix: `${year}`, from: Date.UTC(year, 0), before: Date.UTC(year + 1, 0) };
  if (interval === "month") {
    return {
      suffix: `${year}_${pad(month + 1)}`,
      from: Date.UTC(year, month),
      before: Date.UTC(year, month + 1),
    };
  }
  return {
    suffix: `${year}_${pad(month + 1)}_${pad(day)}`,
    from: Date.UTC(year, month, day),
    before: Date.UTC(year, month, day + 1),
  };
}
