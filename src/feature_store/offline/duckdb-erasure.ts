import { randomBytes } from "node:crypto";
import type { DuckDBConnection, DuckDBValue } from "@duckdb/node-api";
import type { Value } from "../../definitions/value.ts";
import { duckdbColumn, duckdbValue } from "./duckdb-column.ts";
import type { DuckdbDatabase } from "./duckdb-database.ts";
import { quoted, timestampLiteral } from "./duckdb-event-table.ts";
import type { DuckdbSource, DuckdbSources } from "./duckdb-sources.ts";
import { entityKeyText } from "./entity-key-text.ts";
import { namesEntity } from "./names-entity.ts";
import type { EntityRole, ErasureOrder, ErasureResult, OfflineStore, Tombstone } from "./offline-store.ts";
import {
  type CompiledRole,
  compileRole,
  createTombstoneFilter,
  keyHash,
  roleId,
  type TombstoneFilter,
  unionRoles,
} from "./tombstone-filter.ts";

/** The part of the store that forgets entities. */
export interface DuckdbErasure
  extends Pick<OfflineStore, "erase" | "tombstones" | "finishErasure" | "extendTombstones"> {
  /** As of the last erasure: to be asked within a job of the writer. */
  readonly filter: TombstoneFilter;
  /** How many erasures there were. */
  readonly count: number;
}

/** Loads the tombstones; as the file has one owner, memory and file agree from then on. */
export async function duckdbErasure(database: DuckdbDatabase, sources: DuckdbSources): Promise<DuckdbErasure> {
  const { api } = database;
  // Made for the first erasure, and stored with it: until a tombstone is kept, nothing was hashed with it.
  let secret: Uint8Array = randomBytes(32);
  let tombstones: readonly Tombstone[] = [];
  let filter = createTombstoneFilter(secret, tombstones);

  await database.write(async (connection) => {
    const stored = await connection.runAndReadAll("SELECT secret FROM erasure_secret");
    const bytes = stored.getRows()[0]?.[0] as { readonly bytes: Uint8Array } | undefined;
    if (bytes !== undefined) secret = Uint8Array.from(bytes.bytes);
    const rows = await connection.runAndReadAll(
      "SELECT id, entity, key_types, key_hash, until, roles, pending_key FROM tombstones ORDER BY id",
    );
    keep(rows.getRows().map(storedTombstone));
  });

  function keep(next: readonly Tombstone[]): void {
    tombstones = next;
    filter = createTombstoneFilter(secret, next);
  }

  /** Runs in the writer's order, in one transaction; what it returns is kept in memory once it is committed. */
  async function change<Result>(
    job: (connection: DuckDBConnection) => Promise<{ result: Result; next: readonly Tombstone[] }>,
  ): Promise<Result> {
    const { result, next } = await database.transaction(job);
    keep(next);
    return result;
  }

  async function put(connection: DuckDBConnection, tombstone: Tombstone): Promise<void> {
    const { id, entity, keyTypes, keyHash: hash, until, roles, pendingKey } = tombstone;
    await connection.run("DELETE FROM tombstones WHERE key_hash = ?", [hash]);
    await connection.run(`INSERT INTO tombstones VALUES (?, ?, ?, ?, ${timestampLiteral(until)}, ?, ?)`, [
      BigInt(id),
      entity,
      JSON.stringify(keyTypes),
      hash,
      JSON.stringify(roles),
      pendingKey,
    ]);
  }

  /** The source of a role, with the role; null if there is none such. */
  function resolve(
    of: Pick<Tombstone, "entity" | "keyTypes">,
    role: EntityRole,
  ): { source: DuckdbSource; compiled: CompiledRole } | null {
    const source = sources.find(role.source);
    const compiled = source === null ? null : compileRole(source.table.declaration, of, role);
    return source === null || compiled === null ? null : { source, compiled };
  }

  /** Nulls the key in the events of one role; gives how many, and the latest arrival among them. */
  async function nullEvents(
    connection: DuckDBConnection,
    source: DuckdbSource,
    role: EntityRole,
    key: readonly Value[],
    until: number | null,
  ): Promise<{ events: number; latest: number }> {
    const { name, declaration } = source.table;
    const conditions = role.keyColumns.map((column) => `${quoted(column)} = ?`);
    if (until !== null) conditions.push(`_ingested_at <= ${timestampLiteral(until)}`);
    const where = conditions.join(" AND ");
    const values = role.keyColumns.map((column, index) => {
      const { type } = declaration.columns.find((one) => one.name === column)!;
      return duckdbValue(api, type, key[index]!);
    });
    const found = await connection.runAndReadAll(
      `SELECT count(*), coalesce(epoch_ms(max(_ingested_at)), 0) FROM ${name} WHERE ${where}`,
      values,
    );
    const [events, latest] = found.getRows()[0]!.map(Number) as [number, number];
    if (events > 0) {
      const nulls = role.nulledColumns.map((column) => `${quoted(column)} = NULL`).join(", ");
      await connection.run(`UPDATE ${name} SET ${nulls} WHERE ${where}`, values);
    }
    return { events, latest };
  }

  async function removeLetters(connection: DuckDBConnection, { roles, key }: ErasureOrder): Promise<number> {
    const gone: bigint[] = [];
    const result = await connection.stream("SELECT id, source, bytes FROM dead_letters");
    for (
      let chunk = await result.fetchChunk();
      chunk !== null && chunk.rowCount > 0;
      chunk = await result.fetchChunk()
    ) {
      for (const [id, source, bytes] of chunk.getRows()) {
        const letter = { source: source as string, bytes: (bytes as { readonly bytes: Uint8Array }).bytes };
        if (namesEntity(letter, roles, key)) gone.push(id as bigint);
      }
    }
    if (gone.length > 0) await connection.run(`DELETE FROM dead_letters WHERE id IN (${gone.join(", ")})`);
    return gone.length;
  }

  /** The distinct keys of a role whose hash is a tombstone's. */
  async function erasedKeys(
    connection: DuckDBConnection,
    { source, compiled }: { source: DuckdbSource; compiled: CompiledRole },
    role: EntityRole,
    hashes: ReadonlySet<string>,
  ): Promise<{ key: Value[]; hash: string }[]> {
    const columns = role.keyColumns.map((name) =>
      duckdbColumn(api, source.table.declaration.columns.find((column) => column.name === name)!.type),
    );
    const names = role.keyColumns.map(quoted);
    const result = await connection.stream(
      `SELECT DISTINCT ${names.join(", ")} FROM ${source.table.name} WHERE ${names.map((name) => `${name} IS NOT NULL`).join(" AND ")}`,
    );
    const found: { key: Value[]; hash: string }[] = [];
    for (
      let chunk = await result.fetchChunk();
      chunk !== null && chunk.rowCount > 0;
      chunk = await result.fetchChunk()
    ) {
      const keys = Array.from({ length: chunk.rowCount }, () => new Array<Value>(columns.length));
      for (const [index, column] of columns.entries()) {
        column.read(chunk.getColumnVector(index), chunk.rowCount, (row, value) => {
          keys[row]![index] = value;
        });
      }
      for (const key of keys) {
        const hash = keyHash(secret, entityKeyText(compiled.entity, compiled.keyTypes, key)!);
        if (hashes.has(hash)) found.push({ key, hash });
      }
    }
    return found;
  }

  async function erase(order: ErasureOrder): Promise<ErasureResult> {
    const { entity, key, keyTypes, roles, at } = order;
    database.checkOpen();
    const result = await change(async (connection) => {
      if (tombstones.length === 0) {
        await connection.run("DELETE FROM erasure_secret");
        await connection.run("INSERT INTO erasure_secret VALUES (?)", [api.blobValue(secret)]);
      }
      let events = 0;
      let until = at;
      for (const role of roles) {
        const resolved = resolve(order, role);
        if (resolved === null) continue;
        const done = await nullEvents(connection, resolved.source, role, key, null);
        events += done.events;
        if (done.events > 0) until = Math.max(until, done.latest);
      }
      const deadLetters = await removeLetters(connection, order);
      const keyText = entityKeyText(entity, keyTypes, key)!;
      const removed = await connection.runAndReadAll(
        "DELETE FROM predictions WHERE list_contains(keys, ?) RETURNING id",
        [keyText],
      );
      const hash = keyHash(secret, keyText);
      const known = tombstones.find((one) => one.keyHash === hash);
      const tombstone: Tombstone = {
        id: (tombstones.at(-1)?.id ?? 0) + 1,
        entity,
        keyTypes,
        keyHash: hash,
        until: Math.max(until, known?.until ?? until),
        roles: unionRoles(known?.roles ?? [], roles),
        pendingKey: keyText,
      };
      await put(connection, tombstone);
      const { id } = tombstone;
      return {
        result: { id, events, deadLetters, predictions: removed.currentRowCount, until: tombstone.until },
        next: [...tombstones.filter((one) => one !== known), tombstone],
      };
    });
    // Writes over what the log of changes and free blocks still hold; a reader may be in the way, then it comes later.
    await database.write((connection) => connection.run("CHECKPOINT").catch(() => {}));
    return result;
  }

  return {
    get filter() {
      return filter;
    },
    get count() {
      return tombstones.at(-1)?.id ?? 0;
    },
    erase,
    async tombstones() {
      database.checkOpen();
      return tombstones;
    },
    async finishErasure(id) {
      database.checkOpen();
      await change(async (connection) => {
        await connection.run(`UPDATE tombstones SET pending_key = NULL WHERE id = ${BigInt(id)}`);
        return { result: null, next: tombstones.map((one) => (one.id === id ? { ...one, pendingKey: null } : one)) };
      });
    },
    async extendTombstones(entity, roles) {
      database.checkOpen();
      return change(async (connection) => {
        const mine = tombstones.filter((one) => one.entity === entity);
        const added = roles.filter((role) => mine.some((one) => !one.roles.some((r) => roleId(r) === roleId(role))));
        if (added.length === 0) return { result: 0, next: tombstones };
        const untilOf = new Map(mine.map((one) => [one.keyHash, one.until]));
        let events = 0;
        for (const role of added) {
          const resolved = resolve(mine[0]!, role);
          if (resolved === null) continue;
          for (const { key, hash } of await erasedKeys(connection, resolved, role, new Set(untilOf.keys()))) {
            events += (await nullEvents(connection, resolved.source, role, key, untilOf.get(hash)!)).events;
          }
        }
        const next = tombstones.map((one) =>
          one.entity === entity ? { ...one, roles: unionRoles(one.roles, added) } : one,
        );
        for (const one of next) if (one.entity === entity) await put(connection, one);
        return { result: events, next };
      });
    },
  };
}

function storedTombstone([id, entity, keyTypes, hash, until, roles, pendingKey]: DuckDBValue[]): Tombstone {
  return {
    id: Number(id),
    entity: entity as string,
    keyTypes: JSON.parse(keyTypes as string) as Tombstone["keyTypes"],
    keyHash: hash as string,
    until: Number((until as { readonly millis: bigint }).millis),
    roles: JSON.parse(roles as string) as readonly EntityRole[],
    pendingKey: pendingKey as string | null,
  };
}
