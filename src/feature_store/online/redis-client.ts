import { storeError } from "../store-error.ts";
import type { RedisCommand } from "./redis-command.ts";
import { redisCommand } from "./redis-command.ts";
import { isOfReplica, redisError } from "./redis-error.ts";

export interface RedisConnectionOptions {
  /** `redis://host:port/db`, `rediss://` for TLS; may hold user name and password. Either this or `cluster`. */
  readonly url?: string;
  /** Some nodes of a cluster, each `host:port`: the others are found through them. */
  readonly cluster?: readonly string[];
  readonly username?: string;
  readonly password?: string;
  /** True, or what differs from Node's defaults, PEM. Default: by the url. */
  readonly tls?:
    | boolean
    | {
        readonly ca?: string;
        readonly cert?: string;
        readonly key?: string;
        readonly servername?: string;
        readonly rejectUnauthorized?: boolean;
      };
  /** How long a connection may take to be usable when the store is opened, milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
}

/** A server that holds a part of the slots, or all. */
export interface RedisNode {
  /** Commands without a key, answered by this server. */
  call(name: string, args: readonly (string | Uint8Array)[]): Promise<unknown>;
}

/** Connections to a Redis server or to all primaries of a cluster. It reconnects by itself; nothing is sent twice. */
export interface RedisClient {
  /** The server's name without secrets. */
  readonly place: string;
  readonly isCluster: boolean;
  /** Sends at once, in order per slot; each resolves with its reply (bytes, numbers, lists) or rejects. */
  send(commands: readonly RedisCommand[]): Promise<unknown>[];
  /** True if commands can be sent now. */
  readonly usable: boolean;
  /** Called whenever commands can be sent (again). */
  onUsable(listener: () => void): void;
  /** Resolves when commands can be sent; rejects with why not after `milliseconds`. */
  whenUsable(milliseconds: number): Promise<void>;
  primaries(): readonly RedisNode[];
  close(): void;
}

/** Longest pause between attempts to reconnect, milliseconds. */
const LONGEST_PAUSE_MS = 500;
/** A connection that is owed an answer for so long is given up and made anew, milliseconds. */
const SILENCE_MS = 30_000;
/** What no further attempt can heal. */
const FATAL =
  /WRONGPASS|NOAUTH|invalid username-password|NOPERM|cluster support disabled|self.signed|certificate|wrong version number/i;

export async function connectRedis(options: RedisConnectionOptions): Promise<RedisClient> {
  const library = await import("iovalkey").catch((cause: unknown) => {
    throw storeError(
      "ONLINE_STORE_UNAVAILABLE",
      "The Redis online store needs the package 'iovalkey', which cannot be loaded: npm install iovalkey.",
      { cause },
    );
  });
  const address = readAddress(options);
  const { place } = address;
  const common = {
    ...(address.username === undefined ? {} : { username: address.username }),
    ...(address.password === undefined ? {} : { password: address.password }),
    ...(address.tls === null ? {} : { tls: address.tls }),
    connectTimeout: options.connectTimeoutMs ?? 10_000,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: null,
    socketTimeout: SILENCE_MS,
    lazyConnect: true,
  };
  const pauseBefore = (attempt: number): number => Math.min(20 * attempt, LONGEST_PAUSE_MS);
  // The cast leaves the client's types, of which the two classes share too little.
  const client = (address.nodes.length > 0
    ? new library.Cluster([...address.nodes], {
        redisOptions: { ...common, maxRetriesPerRequest: 0 },
        enableOfflineQueue: false,
        clusterRetryStrategy: pauseBefore,
        retryDelayOnFailover: 50,
        retryDelayOnClusterDown: 50,
        slotsRefreshInterval: 5_000,
        lazyConnect: true,
      })
    : new library.Redis({
        ...common,
        host: address.host,
        port: address.port,
        db: address.db,
        enableOfflineQueue: false,
        retryStrategy: pauseBefore,
        // A replica answers where the primary was: the address may soon lead to the new one.
        reconnectOnError: (error: Error) => isOfReplica(error.message),
      })) as unknown as ClientClass;
  let lastError: Error | null = null;
  const listeners: (() => void)[] = [];
  const note = (error: unknown): void => {
    // A cluster's own error says only that all nodes failed, the last node's says why.
    const inner = (error as { lastNodeError?: Error }).lastNodeError;
    lastError = inner ?? (error as Error);
  };
  client.on("error", note);
  client.on("node error", note);
  client.on("ready", () => {
    lastError = null;
    for (const listener of listeners) listener();
  });

  function make({ name, bytes, slot }: RedisCommand): ClientCommand {
    // In capitals the client does not know the command, and leaves its reply as it is.
    const command = new library.Command(name.toUpperCase(), [], { replyEncoding: null }) as unknown as ClientCommand;
    command.toWritable = () => bytes;
    command.slot = slot < 0 ? null : slot;
    return command;
  }

  function send(commands: readonly RedisCommand[]): Promise<unknown>[] {
    const streams = streamsOf(client, address.nodes.length > 0);
    for (const stream of streams) stream.cork();
    const replies = commands.map((command) => client.sendCommand(make(command)));
    for (const stream of streams) stream.uncork();
    return replies;
  }

  async function whenUsable(milliseconds: number): Promise<void> {
    if (client.status === "ready") return;
    const outcome = Promise.withResolvers<void>();
    const ready = (): void => outcome.resolve();
    const failed = (error: unknown): void => {
      note(error);
      if (FATAL.test(String(lastError?.message))) outcome.reject(lastError);
    };
    const timer = setTimeout(
      () => outcome.reject(lastError ?? new TypeError(`no answer within ${milliseconds} ms`)),
      milliseconds,
    );
    client.on("ready", ready);
    client.on("error", failed);
    client.on("node error", failed);
    if (client.status === "wait") client.connect().catch(failed);
    try {
      await outcome.promise;
    } catch (error) {
      throw redisError(error, place);
    } finally {
      clearTimeout(timer);
      client.off("ready", ready);
      client.off("error", failed);
      client.off("node error", failed);
    }
  }

  return {
    place,
    isCluster: address.nodes.length > 0,
    send,
    get usable() {
      return client.status === "ready";
    },
    onUsable: (listener) => void listeners.push(listener),
    whenUsable,
    primaries() {
      const nodes = address.nodes.length > 0 ? client.nodes("master") : [client];
      return nodes.map((node) => ({ call: (name, args) => node.sendCommand(make(redisCommand(name, args))) }));
    },
    close: () => client.disconnect(),
  };
}

/** The parts of the client's two classes that are used here. */
interface ClientClass {
  readonly status: string;
  readonly stream?: ClientStream;
  nodes(role: "master"): ClientClass[];
  sendCommand(command: ClientCommand): Promise<unknown>;
  connect(): Promise<void>;
  disconnect(): void;
  on(event: string, listener: (error: unknown) => void): void;
  off(event: string, listener: (error: unknown) => void): void;
}

interface ClientCommand {
  slot: number | null;
  toWritable: () => Buffer;
}

interface ClientStream {
  cork(): void;
  uncork(): void;
}

function streamsOf(client: ClientClass, cluster: boolean): ClientStream[] {
  const nodes = cluster ? client.nodes("master") : [client];
  return nodes.flatMap(({ stream }) => (stream ? [stream] : []));
}

/** Where a Redis is, and as whom. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: Record<string, unknown> | null;
  readonly place: string;
}

/** @throws `ONLINE_STORE_UNAVAILABLE` if the options are no address */
export function readAddress(options: RedisConnectionOptions): RedisAddress {
  const { cluster, tls } = options;
  const given = tls === undefined || tls === false ? null : tls === true ? {} : { ...tls };
  if ((options.url === undefined) === (cluster === undefined || cluster.length === 0)) {
    throw invalid("either `url` or `cluster`, the addresses of some nodes, is needed");
  }
  if (options.url === undefined) {
    const nodes = cluster!.map((text) => {
      const found = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text);
      if (found === null) throw invalid(`'${text}' is no node of a cluster: host:port is needed`);
      return { host: found[1]!, port: Number(found[2]) };
    });
    const { username, password } = options;
    return { host: "", port: 0, db: 0, nodes, username, password, tls: given, place: `cluster ${cluster!.join(", ")}` };
  }
  // The text may hold a password: it is not repeated.
  if (!URL.canParse(options.url)) throw invalid("`url` must be redis://host:port or rediss://host:port");
  const url = new URL(options.url);
  const db = url.pathname.length > 1 ? Number(url.pathname.slice(1)) : 0;
  if (!/^rediss?:$/.test(url.protocol) || url.hostname === "" || !Number.isInteger(db))
    throw invalid("`url` must be redis://host:port/db or rediss://host:port/db");
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? 6379 : Number(url.port);
  return {
    host,
    port,
    db,
    nodes: [],
    username: options.username ?? (url.username === "" ? undefined : decodeURIComponent(url.username)),
    password: options.password ?? (url.password === "" ? undefined : decodeURIComponent(url.password)),
    tls: url.protocol === "rediss:" ? (given ?? {}) : given,
    place: `${host}:${port}${db === 0 ? "" : `/${db}`}`,
  };
}

function invalid(why: string): Error {
  return storeError("ONLINE_STORE_UNAVAILABLE", `The Redis online store cannot be opened: ${why}.`);
}
