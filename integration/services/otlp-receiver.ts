import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { pythonEnvironment } from "./python-environment.ts";
import { spawnService } from "./spawn-service.ts";

export interface ReceivedSpan {
  readonly name: string;
  readonly kind: number;
  readonly trace: string;
  readonly span: string;
  readonly parent: string;
  readonly links: readonly string[];
  readonly seconds: number;
  readonly attributes: Readonly<Record<string, string>>;
  readonly service: string;
  readonly error: boolean;
}

/** Takes OTLP over HTTP, decoded by OpenTelemetry's own protobuf package for Python. */
export interface OtlpReceiver extends AsyncDisposable {
  readonly url: string;
  readonly spans: readonly ReceivedSpan[];
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const bin = pythonEnvironment(["opentelemetry-proto==1.37.0"]);
  const child = spawnService(`${bin}/python`, [fileURLToPath(new URL("otlp_receiver.py", import.meta.url))], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const spans: ReceivedSpan[] = [];
  const lines = createInterface(child.stdout!);
  const [port] = (await once(lines, "line")) as [string];
  lines.on("line", (line) => spans.push(JSON.parse(line) as ReceivedSpan));
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
