/** `npm run bench -- NAME`: runs one benchmark and prints its figures. */
const names = [
  "beam",
  "fold",
  "pipeline",
  "predict",
  "serving",
  "serving-lookup",
  "startup",
  "aggregations",
  "stores",
  "ingestion",
  "history-ingest",
  "online-read",
  "online-reads",
  "point-in-time",
  "feast-online",
  "kafka",
  "kafka-freshness",
  "model-load",
  "monitoring-cost",
  "onnx-load",
  "quality-cost",
  "tracing-cost",
] as const;
const name = process.argv[2];
if (!names.includes(name as (typeof names)[number])) {
  process.stderr.write(`usage: npm run bench -- ${names.join("|")}\n`);
  process.exit(2);
}
const module = (await import(`./${name}.ts`)) as { run?: (args: readonly string[]) => Promise<void> };
await module.run?.(process.argv.slice(3));
