import type { AppliedMark, ValueWrite, WriteSession } from "../../feature_engineering/engine/feature-sink.ts";
import { storeError } from "../store-error.ts";
import type { RedisClient } from "./redis-client.ts";
import { type RedisArgument, type RedisCommand, redisCommand } from "./redis-command.ts";
import { redisError, redisTimeout } from "./redis-error.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { OPEN_WRITER, RAISE_MARKS, type RedisScript, ROLLED_BACK, WRITE_VALUES } from "./redis-scripts.ts";
import { valueHeader } from "./redis-value.ts";

export interface RedisWriterOptions {
  readonly client: RedisClient;
  readonly keys: RedisKeys;
  /** How long a command may take, milliseconds. */
  readonly timeoutMs: number;
}

/** Writes of one store: scripts, sessions and the numbers by which lost writes are noticed; see `redis-scripts.ts`. */
export interface RedisWriter {
  compareAndSet(writes: readonly ValueWrite[], session?: WriteSession): Promise<boolean[]>;
  openSession(): Promise<WriteSession>;
  checkSession(session: WriteSession): Promise<void>;
  mark(marks: readonly AppliedMark[], session: WriteSession): Promise<void>;
  /** Sends commands and waits for all replies, for so long as commands may take. */
  run(commands: readonly RedisCommand[], timeoutMs?: number): Promise<unknown[]>;
}

/** Values per call of the script: a read that comes meanwhile waits for one call, some milliseconds at most. */
const VALUES_PER_CALL = 256;

export function createRedisWriter({ client, keys, timeoutMs }: RedisWriterOptions): RedisWriter {
  const { shards } = keys;
  const name = crypto.randomUUID();
  const slotOf = (shard: number): number => keys.slots[shard] ?? -1;
  const epochs = new Array<string>(shards).fill("0");
  /** Per shard how many writes of the session were sent. */
  const sent = new Array<number>(shards).fill(0);
  let session: WriteSession = 0;
  let lost = true;
  let opening: Promise<WriteSession> | null = null;

  async function run(commands: readonly RedisCommand[], limitMs = timeoutMs): Promise<unknown[]> {
    if (!client.usable) await client.whenUsable(timeoutMs);
    const timer = Promise.withResolvers<never>();
    const timeout = setTimeout(() => timer.reject(redisTimeout(client.place, limitMs)), limitMs);
    try {
      return await Promise.race([Promise.all(client.send(commands)), timer.promise]);
    } catch (error) {
      throw redisError(error, client.place);
    } finally {
      clearTimeout(timeout);
    }
  }

  function call(script: RedisScript, shard: number, names: RedisArgument[], args: RedisArgument[]): RedisCommand {
    return redisCommand(
      "evalsha",
      [script.sha, String(names.length + 1), keys.writers(shard), ...names, ...args],
      slotOf(shard),
    );
  }

  /** The first arguments of a script: who writes, and what it must find. Counts the write as sent. */
  function writerArguments(shard: number, checked: boolean): string[] {
    if (!checked) return ["", "", "", ""];
    const last = sent[shard]!;
    sent[shard] = last + 1;
    return [name, epochs[shard]!, numberOf(last), numberOf(last + 1)];
  }

  const numberOf = (count: number): string => `${session}:${count}`;

  function checkCurrent(given: WriteSession): void {
    if (!lost && given === session) return;
    throw redisError(new TypeError(ROLLED_BACK), client.place);
  }

  async function loadScripts(): Promise<void> {
    if (!client.usable) await client.whenUsable(timeoutMs);
    for (const node of client.primaries()) {
      for (const { lua } of [WRITE_VALUES, RAISE_MARKS]) {
        await node.call("script", ["load", lua]).catch((error: unknown) => {
          throw redisError(error, client.place);
        });
      }
    }
  }

  async function open(): Promise<WriteSession> {
    await loadScripts();
    const next = session + 1;
    const replies = await run(
      epochs.map((epoch, shard) =>
        redisCommand("eval", [OPEN_WRITER.lua, "1", keys.writers(shard), name, epoch, `${next}:0`], slotOf(shard)),
      ),
    );
    for (let shard = 0; shard < shards; shard++) {
      epochs[shard] = String(replies[shard]);
      sent[shard] = 0;
    }
    session = next;
    lost = false;
    return session;
  }

  /** After an error nobody knows what was written: the session ends with it. */
  async function runChecked(commands: readonly RedisCommand[]): Promise<unknown[]> {
    try {
      return await run(commands);
    } catch (error) {
      lost = true;
      throw error;
    }
  }

  function valueCommands(writes: readonly ValueWrite[], checked: boolean): { command: RedisCommand; of: number[] }[] {
    const groups = new Map<string, { shard: number; keyspace: string; of: number[] }>();
    const calls: { shard: number; keyspace: string; of: number[] }[] = [];
    for (let index = 0; index < writes.length; index++) {
      const { keyspace, key } = writes[index]!;
      const shard = keys.shardOf(key);
      const id = shards === 1 ? keyspace : `${shard}/${keyspace}`;
      let group = groups.get(id);
      if (group === undefined || group.of.length === VALUES_PER_CALL) {
        group = { shard, keyspace, of: [] };
        groups.set(id, group);
        calls.push(group);
      }
      group.of.push(index);
    }
    return calls.map(({ shard, keyspace, of }) => {
      const prefix = keys.valuePrefix(keyspace, shard);
      const expiring = of.some((index) => writes[index]!.expiresAt !== undefined);
      const names: RedisArgument[] = [keys.keyspaces(shard)];
      const args: RedisArgument[] = [...writerArguments(shard, checked), keyspace, expiring ? "1" : "0"];
      for (const index of of) {
        const { key, expectedRevision, bytes, expiresAt } = writes[index]!;
        names.push([prefix, key]);
        args.push(valueHeader(expectedRevision));
        if (bytes === null) args.push("");
        else args.push([valueHeader(expectedRevision + 1), bytes]);
        if (expiring) args.push(expiresAt === undefined ? "" : String(Math.ceil(expiresAt)));
      }
      return { command: call(WRITE_VALUES, shard, names, args), of };
    });
  }

  return {
    run,
    async compareAndSet(writes, given) {
      if (writes.length === 0) return [];
      const done = new Array<boolean>(writes.length).fill(true);
      const checked = given !== undefined;
      if (!client.usable) await client.whenUsable(timeoutMs);
      if (checked) checkCurrent(given);
      const calls = valueCommands(writes, checked);
      const commands = calls.map(({ command }) => command);
      let replies: unknown[];
      if (checked) {
        replies = await runChecked(commands);
      } else {
        replies = await run(commands).catch(async (error: unknown) => {
          // Without a session the only reason is a script that is not there (yet): nothing was done by that call.
          if ((error as { code?: string }).code !== "ONLINE_STORE_ROLLED_BACK") throw error;
          await loadScripts();
          return run(commands);
        });
      }
      for (let i = 0; i < calls.length; i++) {
        for (const refused of replies[i] as number[]) done[calls[i]!.of[refused]!] = false;
      }
      return done;
    },
    openSession() {
      if (!lost) return Promise.resolve(session);
      opening ??= open().finally(() => {
        opening = null;
      });
      return opening;
    },
    async checkSession(given) {
      checkCurrent(given);
      const expected = sent.map((count, shard) => [epochs[shard]!, numberOf(count)] as const);
      const replies = await runChecked(
        expected.map((_, shard) => redisCommand("hmget", [keys.writers(shard), "epoch", name], slotOf(shard))),
      );
      const same = replies.every((reply, shard) => {
        const [epoch, number] = reply as (Buffer | null)[];
        return String(epoch) === expected[shard]![0] && String(number) === expected[shard]![1];
      });
      if (same) return;
      lost = true;
      checkCurrent(given);
    },
    async mark(marks, given) {
      checkCurrent(given);
      if (marks.length === 0) return;
      const keyspaces = [...new Set(marks.map((mark) => mark.keyspace))];
      const args = keyspaces.flatMap((keyspace) => {
        const own = marks.filter((mark) => mark.keyspace === keyspace);
        return [String(own.length), ...own.flatMap((mark) => [String(mark.partitionId), String(mark.offset)])];
      });
      const commands: RedisCommand[] = [];
      for (let shard = 0; shard < shards; shard++) {
        const names = keyspaces.map((keyspace) => keys.marks(keyspace, shard));
        commands.push(call(RAISE_MARKS, shard, names, [...writerArguments(shard, true), ...args]));
      }
      await runChecked(commands);
    },
  };
}

/** Refuses durability that the server does not give. */
export function notDurable(place: string, why: string): Error {
  return storeError("ONLINE_STORE_NOT_DURABLE", `The online store at ${place} ${why}.`, {
    kind: "operational",
    details: { place },
  });
}
