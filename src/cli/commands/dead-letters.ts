import { createHash } from "node:crypto";
import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";

interface Letter {
  readonly id: number;
  readonly source: string;
  readonly partition: string;
  readonly offset: number;
  readonly code: string;
  readonly reason: string;
  readonly at: string;
  /** Base64. */
  readonly bytes: string;
}

/** Lists, replays, exports or deletes dead letters. */
export async function deadLetters(
  what: "list" | "replay" | "export" | "delete",
  options: GlobalOptions & { readonly source?: string; readonly limit: number },
): Promise<void> {
  await using connection = await connect(await configOf(options));
  const query = new URLSearchParams({
    limit: String(options.limit),
    ...(options.source === undefined ? {} : { source: options.source }),
  });
  const { dead_letters: letters } = await connection.ask<{ dead_letters: readonly Letter[] }>(
    "GET",
    `/v1/dead-letters?${query}`,
  );
  if (letters.length === options.limit && what !== "list") {
    process.stderr.write(`These are the newest ${letters.length}: there may be more, see --limit.\n`);
  }
  if (what === "export") {
    for (const letter of letters) process.stdout.write(`${JSON.stringify(letter)}\n`);
    return;
  }
  if (what === "list") {
    print(options, { dead_letters: letters }, () =>
      letters.length === 0
        ? "No dead letters."
        : table([
            ["id", "source", "position", "code", "reason"],
            ...letters.map((l) => [String(l.id), l.source, `${l.partition}@${l.offset}`, l.code, l.reason]),
          ]),
    );
    return;
  }
  const done: number[] = [];
  const failed: { readonly id: number; readonly reason: string }[] = [];
  for (const letter of letters) {
    if (what === "replay") {
      const bytes = Buffer.from(letter.bytes, "base64");
      // Bytes are in the source's own format; of an event that was decoded already, they are JSON.
      const isJson = letter.code === "ID_CONFLICT";
      const body = isJson ? bytes.toString("utf8").replaceAll("\n", " ") : new Uint8Array(bytes);
      try {
        // The key makes a second replay of the same letter harmless, and is no other letter's.
        await connection.raw("POST", `/v1/sources/${letter.source}/events`, body, {
          "content-type": isJson ? "application/x-ndjson" : "application/octet-stream",
          "idempotency-key": replayKey(letter),
        });
      } catch (error) {
        failed.push({ id: letter.id, reason: error instanceof Error ? error.message : String(error) });
        continue;
      }
    }
    done.push(letter.id);
  }
  if (done.length > 0) await connection.raw("DELETE", "/v1/dead-letters", { ids: done });
  print(options, { [what === "replay" ? "replayed" : "deleted"]: done.length, failed }, () =>
    [
      `${done.length} ${what === "replay" ? "replayed" : "deleted"}`,
      ...failed.map(({ id, reason }) => `${id}: ${reason}`),
    ].join("\n"),
  );
  if (failed.length > 0) process.exitCode = 2;
}

/** Of the message that the letter holds, wherever it was set aside and under whatever id. */
function replayKey({ source, partition, offset, bytes }: Letter): string {
  return `dead-letter-${createHash("sha256")
    .update(JSON.stringify([source, partition, offset, bytes]))
    .digest("hex")}`;
}
