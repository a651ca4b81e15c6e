/** `npm run accept -- NAME`: runs one acceptance and prints its figures. */
const names = [
  "parity",
  "crashes",
  "crashes-redis-postgres",
  "tree-models",
  "transforms",
  "kafka-faults",
  "overload",
  "model-updates",
  "sources",
  "kinesis-faults",
  "pubsub-faults",
  "protocols",
  "panels",
  "alerts",
  "percentiles",
  "beam-parity",
  "beam-faults",
  "beam-random",
  "beam-fit",
  "drift",
  "outcomes",
] as const;
const name = process.argv[2];
if (!names.includes(name as (typeof names)[number])) {
  process.stderr.write(`usage: npm run accept -- ${names.join("|")}\n`);
  process.exit(2);
}
const { run } = (await import(`./accept-${name}.ts`)) as { run: (args: readonly string[]) => Promise<void> };
await run(process.argv.slice(3));
