import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileMessageDecoder } from "../src/ingestion/decoders/message-decoder.ts";
import type { SourceColumn } from "../src/ingestion/decoders/row-decoder.ts";
import { fileReplay } from "../src/ingestion/sources/file-replay.ts";
import { type HttpPushSource, httpPush } from "../src/ingestion/sources/http-push.ts";
import { memorySource } from "../src/ingestion/sources/memory-source.ts";
import { replayClock } from "../src/ingestion/sources/replay-clock.ts";
import { describeMessageSource } from "./message-source-conformance.ts";

const columns: readonly SourceColumn[] = [
  { name: "n", type: { kind: "int32", nullable: false } },
  { name: "at", type: { kind: "timestamp", nullable: false } },
];

describeMessageSource("memorySource", {
  capabilities: { monotonePositions: true, endless: true, redelivers: true },
  async make() {
    const source = memorySource();
    return {
      source: () => source,
      send: async (messages) => {
        for (const message of messages) source.push([{ ...message }], { partition: String(message.n % 2) });
      },
      remove: () => source.close(),
    };
  },
});

describeMessageSource("fileReplay", {
  capabilities: { monotonePositions: true, endless: false, redelivers: true },
  async make() {
    const folder = await mkdtemp(join(tmpdir(), "millrace-conformance-"));
    const path = join(folder, "events.jsonl");
    return {
      source: () =>
        fileReplay({
          paths: [path],
          columns,
          eventTime: "at",
          nulls: [],
          clock: replayClock({ speed: "max", hold: false }),
          name: "events",
        }),
      send: (messages) => writeFile(path, messages.map((message) => `${JSON.stringify(message)}\n`).join("")),
      remove: () => rm(folder, { recursive: true, force: true }),
    };
  },
});

describeMessageSource("httpPush", {
  capabilities: { monotonePositions: false, endless: true, redelivers: false },
  async make() {
    const decoder = compileMessageDecoder(columns, { eventTime: "at" });
    let current: HttpPushSource | null = null;
    return {
      source: () => {
        current = httpPush({ decoder, futureBoundMs: null });
        return current;
      },
      send: async (messages) => {
        // Resolves when they are committed, which the suite does afterwards.
        for (const message of messages) current!.push([message]).catch(() => {});
      },
      remove: async () => current?.close(),
    };
  },
});
