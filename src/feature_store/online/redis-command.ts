/** An argument of a command; a pair is sent as one, joined. */
export type RedisArgument = string | Uint8Array | readonly [Uint8Array, Uint8Array];

/** One command in the form that goes over the wire. */
export interface RedisCommand {
  readonly name: string;
  readonly bytes: Buffer;
  /** Of the keys; −1 on a single node. */
  readonly slot: number;
}

/** A command in Redis's protocol: a list of length-prefixed texts. */
export function redisCommand(name: string, args: readonly RedisArgument[], slot = -1): RedisCommand {
  let length = 32 + name.length;
  for (const arg of args) length += 16 + (typeof arg === "string" ? arg.length * 3 : lengthOf(arg));
  const bytes = Buffer.allocUnsafe(length);
  let at = writeHead(bytes, 0, 42, args.length + 1);
  at = writeText(bytes, at, name);
  for (const arg of args) {
    if (typeof arg === "string") {
      at = writeText(bytes, at, arg);
      continue;
    }
    at = writeHead(bytes, at, 36, lengthOf(arg));
    if (arg instanceof Uint8Array) at = copy(bytes, at, arg);
    else at = copy(bytes, copy(bytes, at, arg[0]), arg[1]);
    bytes[at++] = 13;
    bytes[at++] = 10;
  }
  return { name, bytes: bytes.subarray(0, at), slot };
}

function lengthOf(arg: Uint8Array | readonly [Uint8Array, Uint8Array]): number {
  return arg instanceof Uint8Array ? arg.length : arg[0].length + arg[1].length;
}

/** A type byte, a number, the end of the line. */
function writeHead(bytes: Buffer, at: number, type: number, count: number): number {
  let position = at;
  bytes[position++] = type;
  if (count < 10) {
    bytes[position++] = 48 + count;
  } else if (count < 100) {
    bytes[position++] = 48 + Math.floor(count / 10);
    bytes[position++] = 48 + (count % 10);
  } else {
    position += bytes.write(String(count), position, "latin1");
  }
  bytes[position++] = 13;
  bytes[position++] = 10;
  return position;
}

function writeText(bytes: Buffer, at: number, text: string): number {
  let position = writeHead(bytes, at, 36, Buffer.byteLength(text));
  position += bytes.write(text, position, "utf8");
  bytes[position++] = 13;
  bytes[position++] = 10;
  return position;
}

/** Names are short: a loop beats the call of `set`. */
function copy(bytes: Buffer, at: number, source: Uint8Array): number {
  const { length } = source;
  if (length <= 48) for (let i = 0; i < length; i++) bytes[at + i] = source[i]!;
  else bytes.set(source, at);
  return at + length;
}
