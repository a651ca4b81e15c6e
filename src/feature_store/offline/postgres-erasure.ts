import { randomBytes } from "node:crypto";
import type { PoolClient } from "pg";
import type { Value } from "../../definitions/value.ts";
import { entityKeyText } from "./entity-key-text.ts";
import { namesEntity } from "./names-entity.ts";
import type { EntityRole, ErasureOrder, ErasureResult, OfflineStore, Tombstone } from "./offline-store.ts";
import { valueText } from "./postgres-column.ts";
import { copyOut, copyParser } from "./postgres-copy.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import type { PostgresSource, PostgresSources } from "./postgres-sources.ts";
import { quoted } from "./postgres-text.ts";
import { millis, timeText } from "./postgres-time.ts";
import {
  type CompiledRole,
  compileRole,
  createTombstoneFilter,
  keyHash,
  roleId,
  type TombstoneFilter,
  unionRoles,
} from "./tombstone-filter.ts";

/** What a transaction that writes must know of the erasures before it. */
export interface KnownErasures {
  readonly filter: TombstoneFilter;
  /** How many erasures there were. */
  readonly count: number;
}

/** The part of the store that forgets entities. */
export interface PostgresErasure
  extends Pick<OfflineStore, "erase" | "tombstones" | "finishErasure" | "extendTombstones"> {
  /** A statement that keeps erasures out until the transaction ends. To be run before `version` is read. */
  readonly holdOff: string;
  /** A subquery for the version of the tombstones, which `at` takes. */
  readonly version: string;
  at(client: PoolClient, version: string): Promise<KnownErasures>;
}

interface TombstoneRow {
  readonly id: string;
  readonly entity: string;
  readonly key_types: string;
  readonly key_hash: string;
  readonly until: number;
  readonly roles: string;
  readonly pending_key: string | null;
}

interface ErasureState {
  readonly secret: Buffer;
  readonly tombstones: readonly Tombstone[];
}

/** Dead letters that are looked through at a time. */
const LETTERS = 500;

export function postgresErasure(database: PostgresDatabase, sources: PostgresSources): PostgresErasure {
  const { schema, schemaName } = database;
  const lockKey = `hashtextextended('millrace:${schemaName}', 3)`;
  let known: (KnownErasures & { readonly version: string }) | null = null;

  async function load(client: PoolClient): Promise<ErasureState> {
    const stored = await client.query<{ secret: Buffer }>(`SELECT secret FROM ${schema}.erasures`);
    const rows = await client.query<TombstoneRow>(
      `SELECT id, entity, key_types, key_hash, ${millis("until")} AS until, roles, pending_key
       FROM ${schema}.tombstones ORDER BY id`,
    );
    return { secret: stored.rows[0]!.secret, tombstones: rows.rows.map(storedTombstone) };
  }

  /** In one transaction, beside no commit. */
  async function change<Result>(job: (client: PoolClient, state: ErasureState) => Promise<Result>): Promise<Result> {
    return database.transaction(async (client) => {
      await client.query(`SELECT pg_advisory_xact_lock(${lockKey})`);
      // Whoever makes the store's first erasure chooses its secret.
      await client.query(`UPDATE ${schema}.erasures SET secret = $1 WHERE secret = ''`, [randomBytes(32)]);
      const result = await job(client, await load(client));
      await client.query(`UPDATE ${schema}.erasures SET version = version + 1`);
      return result;
    });
  }

  async function put(client: PoolClient, tombstone: Tombstone): Promise<void> {
    const { id, entity, keyTypes, keyHash: hash, until, roles, pendingKey } = tombstone;
    await client.query(`DELETE FROM ${schema}.tombstones WHERE key_hash = $1`, [hash]);
    await client.query(
      `INSERT INTO ${schema}.tombstones (id, entity, key_types, key_hash, until, roles, pending_key)
       VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [id, entity, JSON.stringify(keyTypes), hash, timeText(until), JSON.stringify(roles), pendingKey],
    );
  }

  /** The source of a role, with the role; null if there is none such. */
  async function resolve(
    client: PoolClient,
    of: Pick<Tombstone, "entity" | "keyTypes">,
    role: EntityRole,
  ): Promise<{ source: PostgresSource; compiled: CompiledRole } | null> {
    const source = await sources.find(client, role.source);
    const compiled = source === null ? null : compileRole(source.table.declaration, of, role);
    return source === null || compiled === null ? null : { source, compiled };
  }

  /** Nulls the key in the events of one role; gives how many, and the latest arrival among them. */
  async function nullEvents(
    client: PoolClient,
    { table }: PostgresSource,
    role: EntityRole,
    key: readonly Value[],
    until: number | null,
  ): Promise<{ events: number; latest: number }> {
    const conditions = role.keyColumns.map(
      (column, index) => `${quoted(column)} = $${index + 1}::${table.columns.get(column)!.sql}`,
    );
    const values = role.keyColumns.map((column, index) => valueText(typeOf(table.declaration, column), key[index]!));
    if (until !== null) conditions.push(`_ingested_at <= '${timeText(until)}'`);
    const nulls = role.nulledColumns.map((column) => `${quoted(column)} = NULL`).join(", ");
    const result = await client.query<{ events: number; latest: number }>(
      `WITH nulled AS (UPDATE ${table.name} SET ${nulls} WHERE ${conditions.join(" AND ")} RETURNING _ingested_at)
       SELECT count(*)::double precision AS events, coalesce(${millis("max(_ingested_at)")}, 0) AS latest FROM nulled`,
      values,
    );
    return result.rows[0]!;
  }

  async function removeLetters(client: PoolClient, { roles, key }: ErasureOrder): Promise<number> {
    const gone: string[] = [];
    let after = "0";
    while (true) {
      const page = await client.query<{ id: string; source: string; bytes: Buffer }>(
        `SELECT id, source, bytes FROM ${schema}.dead_letters
         WHERE id > $1 AND source = ANY ($2::text[]) ORDER BY id LIMIT ${LETTERS}`,
        [after, roles.map((role) => role.source)],
      );
      for (const letter of page.rows) if (namesEntity(letter, roles, key)) gone.push(letter.id);
      if (page.rows.length < LETTERS) break;
      after = page.rows.at(-1)!.id;
    }
    if (gone.length > 0) await client.query(`DELETE FROM ${schema}.dead_letters WHERE id = ANY ($1::bigint[])`, [gone]);
    return gone.length;
  }

  /** The distinct keys of a role whose hash is a tombstone's. */
  async function erasedKeys(
    client: PoolClient,
    { source: { table }, compiled }: { source: PostgresSource; compiled: CompiledRole },
    role: EntityRole,
    secret: Buffer,
    hashes: ReadonlySet<string>,
  ): Promise<{ key: Value[]; hash: string }[]> {
    const names = role.keyColumns.map(quoted);
    const parser = copyParser(
      role.keyColumns.map((name) => table.columns.get(name)!),
      (key) => key,
    );
    const select = `SELECT DISTINCT ${names.join(", ")} FROM ${table.name} WHERE ${names.map((name) => `${name} IS NOT NULL`).join(" AND ")}`;
    const found: { key: Value[]; hash: string }[] = [];
    for await (const keys of copyOut(database.api, client, select, parser)) {
      for (const key of keys) {
        const hash = keyHash(secret, entityKeyText(compiled.entity, compiled.keyTypes, key)!);
        if (hashes.has(hash)) found.push({ key, hash });
      }
    }
    return found;
  }

  async function erase(order: ErasureOrder): Promise<ErasureResult> {
    const { entity, key, keyTypes, roles, at } = order;
    return change(async (client, { secret, tombstones }) => {
      let events = 0;
      let until = at;
      for (const role of roles) {
        const resolved = await resolve(client, order, role);
        if (resolved === null) continue;
        const done = await nullEvents(client, resolved.source, role, key, null);
        events += done.events;
        if (done.events > 0) until = Math.max(until, done.latest);
      }
      const deadLetters = await removeLetters(client, order);
      const keyText = entityKeyText(entity, keyTypes, key)!;
      const removed = await client.query(`DELETE FROM ${schema}.predictions WHERE $1 = ANY (keys)`, [keyText]);
      const hash = keyHash(secret, keyText);
      const before = tombstones.find((one) => one.keyHash === hash);
      const tombstone: Tombstone = {
        id: (tombstones.at(-1)?.id ?? 0) + 1,
        entity,
        keyTypes,
        keyHash: hash,
        until: Math.max(until, before?.until ?? until),
        roles: unionRoles(before?.roles ?? [], roles),
        pendingKey: keyText,
      };
      await put(client, tombstone);
      return {
        id: tombstone.id,
        events,
        deadLetters,
        predictions: removed.rowCount ?? 0,
        until: tombstone.until,
      };
    });
  }

  return {
    holdOff: `SELECT pg_advisory_xact_lock_shared(${lockKey})`,
    version: `(SELECT version FROM ${schema}.erasures)`,
    async at(client, version) {
      if (known?.version === version) return known;
      const { secret, tombstones } = await load(client);
      known = { version, filter: createTombstoneFilter(secret, tombstones), count: tombstones.at(-1)?.id ?? 0 };
      return known;
    },
    erase,
    tombstones: async () => (await database.repeatable(load)).tombstones,
    async finishErasure(id) {
      await change((client) =>
        client.query(`UPDATE ${schema}.tombstones SET pending_key = NULL WHERE id = $1`, [Math.floor(id)]),
      );
    },
    async extendTombstones(entity, roles) {
      return change(async (client, { secret, tombstones }) => {
        const mine = tombstones.filter((one) => one.entity === entity);
        const added = roles.filter((role) => mine.some((one) => !one.roles.some((r) => roleId(r) === roleId(role))));
        const untilOf = new Map(mine.map((one) => [one.keyHash, one.until]));
        let events = 0;
        for (const role of added) {
          const resolved = await resolve(client, mine[0]!, role);
          if (resolved === null) continue;
          for (const { key, hash } of await erasedKeys(client, resolved, role, secret, new Set(untilOf.keys()))) {
            events += (await nullEvents(client, resolved.source, role, key, untilOf.get(hash)!)).events;
          }
        }
        if (added.length > 0)
          for (const one of mine) await put(client, { ...one, roles: unionRoles(one.roles, added) });
        return events;
      });
    },
  };
}

function typeOf({ columns }: PostgresSource["table"]["declaration"], name: string): (typeof columns)[number]["type"] {
  return columns.find((column) => column.name === name)!.type;
}

function storedTombstone(row: TombstoneRow): Tombstone {
  return {
    id: Number(row.id),
    entity: row.entity,
    keyTypes: JSON.parse(row.key_types) as Tombstone["keyTypes"],
    keyHash: row.key_hash,
    until: row.until,
    roles: JSON.parse(row.roles) as readonly EntityRole[],
    pendingKey: row.pending_key,
  };
}
