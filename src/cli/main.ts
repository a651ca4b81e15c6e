#!/usr/bin/env node
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { checkNode } from "./check-node.ts";
import { fail } from "./fail.ts";

/** The `millrace` command. Commands are imported when they run, so that help is quick. */
const program = new Command("millrace")
  .description("Real-time feature platform and model server")
  .option("-c, --config <file>", "the configuration", "millrace.config.ts")
  .option("--json", "machine-readable output on stdout")
  .option("--debug", "show stacks of errors")
  .showHelpAfterError()
  .exitOverride();

const whole = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("it must be a whole number from 1.");
  return value;
};
/** A moment so far from now is one that a date can still say. */
const wholeUpTo =
  (most: number) =>
  (text: string): number => {
    const value = whole(text);
    if (value > most) throw new InvalidArgumentError(`it must be a whole number from 1 to ${most}.`);
    return value;
  };

program
  .command("init")
  .description("write a small working project into this folder")
  .action(async (_options, command: Command) => {
    await (await import("./commands/init.ts")).init(command.optsWithGlobals());
  });
program
  .command("dev")
  .description("run everything in one process; changed declarations are taken over")
  .action(async (_options, command: Command) => (await import("./commands/dev.ts")).dev(command.optsWithGlobals()));
program
  .command("serve")
  .description("read the sources, fold and serve")
  .option("--processes <n>", "how many processes serve behind the port, or auto: one per core")
  .option("--no-ingest", "read no source; pushed events are taken all the same")
  .action(async (_options, command: Command) => (await import("./commands/serve.ts")).serve(command.optsWithGlobals()));
const ingest = program
  .command("ingest")
  .description("read the sources and fold, beside `serve` processes: needs stores that processes share")
  .action(async (_options, command: Command) =>
    (await import("./commands/serve.ts")).ingest(command.optsWithGlobals()),
  );
ingest
  .command("status")
  .description("each partition of each source: who reads it, how far behind it is")
  .action(async (_options, command: Command) =>
    (await import("./commands/ingest-status.ts")).ingestStatus(command.optsWithGlobals()),
  );
ingest
  .command("reset")
  .description("move where a source is read on, while nobody reads it; what history has already changes nothing")
  .requiredOption("--source <name>", "which one")
  .requiredOption("--to <place>", "earliest, latest, a time (ISO 8601 with a zone), or partition=offset,…")
  .option("--dry-run", "show it, and change nothing")
  .action(async (_options, command: Command) =>
    (await import("./commands/ingest-reset.ts")).ingestReset(command.optsWithGlobals()),
  );
program
  .command("plan")
  .description("what applying the declarations would change")
  .option("--check", "exit with 2 if stored data does not fit the declarations")
  .action(async (_options, command: Command) => (await import("./commands/plan.ts")).plan(command.optsWithGlobals()));
program
  .command("apply")
  .description("record the plan and fill new view versions from history")
  .action(async (_options, command: Command) => (await import("./commands/plan.ts")).apply(command.optsWithGlobals()));
program
  .command("replay")
  .description("replay the file sources into the stores, to the end or until a moment")
  .option("--until <time>", "deliver only events before this moment (ISO 8601 with a zone)")
  .option("--speed <factor>", "seconds of event time per second, or max", "max")
  .action(async (_options, command: Command) =>
    (await import("./commands/replay.ts")).replay(command.optsWithGlobals()),
  );
program
  .command("get <service> [key=value...]")
  .description("online features of one row, or of the rows of a JSON file")
  .option("--rows <file>", "a JSON list of lookups")
  .option("--as-of <time>", "read as of this moment")
  .option("--exact", "refuse if an event at or after that moment was applied")
  .option("--model <name>", "apply the fitted transforms of this model")
  .action(async (service: string, pairs: string[], _options, command: Command) =>
    (await import("./commands/get.ts")).get(service, pairs, command.optsWithGlobals()),
  );
program
  .command("training-set <service>")
  .description("features as they were at each row's event_timestamp, in a file, with millrace.json beside it")
  .option("--entities <file>", "lookup columns, event_timestamp and labels: .csv, .parquet, .jsonl or .arrow")
  .option("--sql <query>", "instead: a SELECT of the cold store that gives these columns")
  .option("--timeout <seconds>", "how long the query may take", whole, 600)
  .requiredOption("--out <file>", "the training set: .parquet, .csv or .arrow")
  .option("--model <name>", "apply the fitted transforms of this model")
  .option("--manifest <file>", "default: millrace.json beside the training set")
  .addOption(
    new Option("--knowledge <mode>", "what counts").choices(["event_time", "ingested_at"]).default("event_time"),
  )
  .action(async (service: string, _options, command: Command) =>
    (await import("./commands/training-set.ts")).trainingSet(service, command.optsWithGlobals()),
  );
program
  .command("check-consistency [view]")
  .description("compare the hot store with history, value for value")
  .option("--sample <n>", "entities per view, or logged predictions", whole, 100)
  .option("--predictions", "compute logged predictions again from the events that were applied then")
  .option("--model <name>", "with --predictions: of this model only")
  .action(async (view: string | undefined, _options, command: Command) =>
    (await import("./commands/check-consistency.ts")).checkConsistency(view, command.optsWithGlobals()),
  );
program
  .command("quality <service>")
  .description("how the last features and answers compare with what the models were trained on")
  .action(async (service: string, _options, command: Command) =>
    (await import("./commands/quality.ts")).quality(service, command.optsWithGlobals()),
  );
program
  .command("prune")
  .description("drop hot values of view versions that the last plans do not have")
  .option("--plans <n>", "how many plans keep their values, from the last one back", whole, 3)
  .option("--unapplied", "also those that no applied plan has")
  .option("--dry-run", "list them, and drop nothing")
  .action(async (_options, command: Command) => (await import("./commands/prune.ts")).prune(command.optsWithGlobals()));
program
  .command("materialize [views...]")
  .description("bring hot values up to date from history")
  .action(async (views: string[], _options, command: Command) =>
    (await import("./commands/backfill.ts")).backfill("materialize", views, command.optsWithGlobals()),
  );
program
  .command("backfill [views...]")
  .description("load files into a source's history, and compute the values of its views anew; goes on after a stop")
  .option("--source <name>", "the source that the files belong to")
  .option("--files <paths...>", "CSV or JSON lines, plain or gzip; folders and patterns")
  .action(async (views: string[], _options, command: Command) =>
    (await import("./commands/backfill.ts")).backfill("backfill", views, command.optsWithGlobals()),
  );
program
  .command("delete <entity> [key=value...]")
  .description("erase one entity everywhere: its values, and its key in events, dead letters and logs; for good")
  .action(async (entity: string, pairs: string[], _options, command: Command) =>
    (await import("./commands/delete.ts")).deleteEntity(entity, pairs, command.optsWithGlobals()),
  );
const registry = program.command("registry").description("what is declared, who reads what, and how it was before");
registry
  .command("list", { isDefault: true })
  .description("everything that the applied plan declares")
  .option("--kind <kind>", "entity, source, view, service or model")
  .option("--owner <owner>", "of this owner only")
  .option("--tag <tag>", "with this tag: name, or name=value")
  .action(async (_options, command: Command) =>
    (await import("./commands/registry.ts")).list(command.optsWithGlobals()),
  );
registry
  .command("search <words...>")
  .description("by name, owner, tag, description, column or feature")
  .option("--kind <kind>", "entity, source, view, service or model")
  .action(async (words: string[], _options, command: Command) =>
    (await import("./commands/registry.ts")).search(words, command.optsWithGlobals()),
  );
registry
  .command("show <name>")
  .description("one entry, whole")
  .option("--kind <kind>", "where several kinds have the name")
  .option("--at <version>", "as it was in this version of the plan")
  .action(async (name: string, _options, command: Command) =>
    (await import("./commands/registry.ts")).show(name, command.optsWithGlobals()),
  );
registry
  .command("lineage <name> [column]")
  .description("what it reads and who reads it, down to columns")
  .option("--kind <kind>", "where several kinds have the name")
  .option("--at <version>", "in this version of the plan")
  .action(async (name: string, column: string | undefined, _options, command: Command) =>
    (await import("./commands/registry.ts")).lineage(name, column, command.optsWithGlobals()),
  );
registry
  .command("history")
  .description("every version of the plan, and the model versions that served")
  .action(async (_options, command: Command) =>
    (await import("./commands/registry.ts")).history(command.optsWithGlobals()),
  );
registry
  .command("diff <from> [to]")
  .description("what changed between two versions of the plan")
  .action(async (from: string, to: string | undefined, _options, command: Command) =>
    (await import("./commands/registry.ts")).diff(from, to, command.optsWithGlobals()),
  );
program
  .command("dashboards")
  .description("write Grafana's dashboards, Prometheus' rules, and what provisions them")
  .option("--out <folder>", "where to", "monitoring")
  .option("--runbooks <url>", "where the pages of the alerts can be read")
  .action(async (_options, command: Command) =>
    (await import("./commands/dashboards.ts")).dashboards(command.optsWithGlobals()),
  );
const letters = program.command("dead-letters").description("messages that could not be taken");
for (const [name, description] of [
  ["list", "newest first"],
  ["replay", "push them again, and forget those that are taken"],
  ["export", "as JSON lines, with their bytes in base64"],
  ["delete", "forget them"],
] as const) {
  letters
    .command(name)
    .description(description)
    .option("--source <name>", "of this source only")
    .option("--limit <n>", "at most so many", whole, 100)
    .action(async (_options, command: Command) =>
      (await import("./commands/dead-letters.ts")).deadLetters(name, command.optsWithGlobals()),
    );
}
const beam = program.command("beam").description("compute views with Apache Beam: see docs/beam.md");
beam
  .command("run [options...]")
  .description(
    "stream a source; ends with a savepoint on SIGINT or SIGTERM, and goes on from it. After --: Beam's own options",
  )
  .option("--source <name>", "one of beam.sources")
  .option("--from <time>", "events from this moment on; default: from where the last backfill ended")
  .option("--replay", "without state: read the topic again from where the stream began")
  .option("--metrics <address>", "answer scrapes of Prometheus at this port, or host:port")
  .action(async (own: string[], _options, command: Command) =>
    (await import("./commands/beam.ts")).beamRun(own, command.optsWithGlobals()),
  );
beam
  .command("backfill [options...]")
  .description("fold files into a source's views and history. After --: Beam's own options")
  .option("--source <name>", "one of beam.sources")
  .option("--files <paths...>", "CSV or JSON lines, plain or gzip; patterns")
  .option("--from <time>", "events from this moment on")
  .option("--until <time>", "events before this moment: from it on, `beam run` streams")
  .option("--metrics <address>", "answer scrapes of Prometheus at this port, or host:port")
  .action(async (own: string[], _options, command: Command) =>
    (await import("./commands/beam.ts")).beamBackfill(own, command.optsWithGlobals()),
  );
beam
  .command("fit <service> [options...]")
  .description(
    "learn a service's transforms from a training frame and history in files: the manifest of a training set. After --: Beam's own options",
  )
  .requiredOption("--labels <file>", "lookup columns, event_timestamp and labels: .csv, .parquet, .jsonl or .arrow")
  .option("--files <source=path...>", "history of the sources that name no files: CSV, JSON lines or Parquet; patterns")
  .option("--out <file>", "the manifest, or a folder for it", "millrace.json")
  .option("--no-profile", "leave out how the features were distributed")
  .addOption(
    new Option("--knowledge <mode>", "what counts").choices(["event_time", "ingested_at"]).default("event_time"),
  )
  .action(async (service: string, own: string[], _options, command: Command) =>
    (await import("./commands/beam-fit.ts")).beamFit(service, own, command.optsWithGlobals()),
  );
beam
  .command("explain")
  .description("print the pipeline")
  .option("--source <name>", "default: every source of beam.sources")
  .action(async (_options, command: Command) =>
    (await import("./commands/beam.ts")).beamExplain(command.optsWithGlobals()),
  );
const models = program.command("models").description("models and their versions");
models
  .command("list", { isDefault: true })
  .description("every model with the version that serves")
  .option("--url <url>", "of this running server; its token in MILLRACE_ADMIN_TOKEN")
  .action(async (_options, command: Command) =>
    (await import("./commands/models.ts")).listModels(command.optsWithGlobals()),
  );
models
  .command("status <model>")
  .description("which versions there are, which one serves, what failed")
  .option("--url <url>", "of this running server; its token in MILLRACE_ADMIN_TOKEN")
  .action(async (model: string, _options, command: Command) =>
    (await import("./commands/models.ts")).modelStatus(model, command.optsWithGlobals()),
  );
for (const [act, description] of [
  ["load", "look for new versions now, also try bad ones again, and bring it into memory"],
  ["unload", "take it out of memory; it answers nothing until it is loaded"],
  ["rollback", "serve the previous version again"],
  ["unpin", "serve the newest version again"],
] as const) {
  models
    .command(`${act} <model>`)
    .description(`${description}, of a running server`)
    .option("--url <url>", "of this running server; its token in MILLRACE_ADMIN_TOKEN")
    .action(async (model: string, _options, command: Command) =>
      (await import("./commands/models.ts")).changeModel(act, model, null, command.optsWithGlobals()),
    );
}
models
  .command("pin <model> <version>")
  .description("serve this version until it is unpinned, of a running server")
  .option("--url <url>", "of this running server; its token in MILLRACE_ADMIN_TOKEN")
  .action(async (model: string, version: string, _options, command: Command) =>
    (await import("./commands/models.ts")).changeModel("pin", model, version, command.optsWithGlobals()),
  );
const keys = program.command("keys").description("API keys: who may predict, read, push and administer");
keys
  .command("create")
  .description("make a key and print it, this once")
  .requiredOption("--scope <scope...>", "predict, read, push, admin (all)")
  .option("--name <name>", "what it is for")
  .option("--expires <days>", "after which it is refused", wholeUpTo(36_500))
  .option("--rate <n>", "requests per second, of each process that serves; default: server.rateLimit", whole)
  .action(async (_options, command: Command) =>
    (await import("./commands/keys.ts")).createKey(command.optsWithGlobals()),
  );
keys
  .command("rotate <id>")
  .description("make a key that may do the same, print it, and let the old one end")
  .option("--grace <hours>", "for which the old one still counts", wholeUpTo(8_760), 24)
  .option("--expires <days>", "after which the new one is refused", wholeUpTo(36_500))
  .action(async (id: string, _options, command: Command) =>
    (await import("./commands/keys.ts")).rotateKey(id, command.optsWithGlobals()),
  );
keys
  .command("list")
  .description("every key, without its secret")
  .action(async (_options, command: Command) =>
    (await import("./commands/keys.ts")).listKeys(command.optsWithGlobals()),
  );
keys
  .command("revoke <id>")
  .description("refuse the key from now on")
  .action(async (id: string, _options, command: Command) =>
    (await import("./commands/keys.ts")).revokeKey(id, command.optsWithGlobals()),
  );
try {
  checkNode(process.versions.node);
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else fail(error, program.opts());
}
