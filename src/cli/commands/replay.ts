import { SingleBar } from "cli-progress";
import { millraceError } from "../../definitions/errors.ts";
import { readTime } from "../../feature_store/lookup.ts";
import { openPlatform } from "../../platform.ts";
import { configOf, type GlobalOptions, loggerOf, print } from "../global-options.ts";

/** Replays the file sources and ends. What was replayed before is not replayed again. */
export async function replay(
  options: GlobalOptions & { readonly until?: string; readonly speed: string },
): Promise<void> {
  const config = await configOf(options);
  const until = options.until === undefined ? null : readTime(options.until);
  if (options.until !== undefined && until === null)
    throw millraceError(
      "TIME_INVALID",
      `--until ${options.until} must be ISO 8601 with a zone, such as 2013-03-01T00:00:00Z.`,
    );
  const speed = options.speed === "max" ? "max" : Number(options.speed);
  if (speed !== "max" && !(speed > 0))
    throw millraceError("OPTION_INVALID", `--speed ${options.speed} must be a number above zero, or max.`);
  const started = performance.now();
  await using platform = await openPlatform(
    { ...config, server: { ...config.server, host: "127.0.0.1", port: 0 }, replay: { speed, hold: until !== null } },
    { log: loggerOf(config, "error"), catchUp: false },
  );
  await platform.ready();
  const progress = showProgress(() => platform.worker.status());
  try {
    if (until === null) await platform.worker.finished();
    else await platform.worker.advanceTo(until);
  } finally {
    progress();
  }
  const { sources } = await platform.worker.status();
  const seconds = (performance.now() - started) / 1_000;
  const counts = sources.map(({ source, messages, deadLetters }) => ({
    source,
    events: messages,
    dead_letters: deadLetters,
  }));
  print(options, { seconds, sources: counts }, () =>
    [
      ...counts.map(({ source, events, dead_letters }) => `${source}: ${events} events, ${dead_letters} dead letters`),
      `in ${seconds.toFixed(1)} s`,
    ].join("\n"),
  );
}

/** Events so far and per second, while a terminal looks on. Returns what ends it. */
function showProgress(
  status: () => Promise<{ readonly sources: readonly { readonly messages: number }[] }>,
): () => void {
  if (process.stderr.isTTY !== true) return () => {};
  const bar = new SingleBar({ format: "{value} events, {rate}/s, {duration_formatted}", stream: process.stderr });
  bar.start(0, 0, { rate: 0 });
  let last = 0;
  const timer = setInterval(() => {
    void status().then(({ sources }) => {
      const events = sources.reduce((sum, source) => sum + source.messages, 0);
      bar.update(events, { rate: (events - last) * 2 });
      last = events;
    });
  }, 500);
  return () => {
    clearInterval(timer);
    bar.stop();
  };
}
