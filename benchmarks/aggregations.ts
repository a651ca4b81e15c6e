/**
 * What one add, one merge and one encoding of every aggregation cost, in nanoseconds: the best and the median of
 * several rounds. Run: `node benchmarks/aggregations.ts`.
 */
import { cpus } from "node:os";
import type { AggregationSpec } from "../src/definitions/aggregation-spec.ts";
import type { ColumnKind, Value } from "../src/definitions/value.ts";
import type { Aggregation, EventOrder } from "../src/feature_engineering/aggregations/aggregation.ts";
import { aggregationOf } from "../src/feature_engineering/aggregations/aggregation-of.ts";
import { createByteReader } from "../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../src/feature_engineering/encoding/byte-writer.ts";
import { createPayloadHasher } from "../src/feature_engineering/encoding/payload-hash.ts";

const eventCount = 4096;
const entityCount = 256;
const rounds = 25;

let seed = 42;
function random(): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
  return (seed >>> 0) / 2 ** 32;
}

const orders: EventOrder[] = Array.from({ length: eventCount }, (_, index) => ({
  eventTime: 1_700_000_000_000 + index * 37,
  version: null,
  ingestedAt: 1_700_000_000_500 + index * 37,
  hash0: Math.floor(random() * 2 ** 32),
  hash1: Math.floor(random() * 2 ** 32),
  hash2: Math.floor(random() * 2 ** 32),
  hash3: Math.floor(random() * 2 ** 32),
}));

const inputs: Partial<Record<ColumnKind, () => Value>> = {
  float64: () => Math.round(random() * 100_000) / 100,
  int32: () => Math.floor(random() * 1000),
  int64: () => BigInt(Math.floor(random() * 1e9)),
  string: () => `merchant_${Math.floor(random() * 300)}`,
};

const specs: readonly (readonly [AggregationSpec["name"], ColumnKind])[] = [
  ["count", "float64"],
  ["sum", "float64"],
  ["sum", "int32"],
  ["sum", "int64"],
  ["mean", "float64"],
  ["variance", "float64"],
  ["variance", "int64"],
  ["stddev", "float64"],
  ["min", "float64"],
  ["max", "float64"],
  ["max", "int64"],
  ["latest", "float64"],
  ["last_n", "float64"],
  ["first", "float64"],
  ["count_distinct", "string"],
  ["quantile", "float64"],
  ["quantile", "int64"],
  ["top_k", "string"],
  ["histogram", "float64"],
];

const parameters = { probabilities: [0.95], limit: 1_000, boundaries: [10, 50, 100, 200, 500] };

function measure(operations: number, run: () => void): string {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    run();
    times.push(((performance.now() - start) * 1e6) / operations);
  }
  times.sort((a, b) => a - b);
  const best = times[0]!.toFixed(1);
  const median = times[rounds >> 1]!.toFixed(1);
  return `${best.padStart(8)} ${median.padStart(8)}`;
}

function fold(aggregation: Aggregation, values: readonly Value[]): unknown[] {
  const states: unknown[] = Array.from({ length: entityCount }, () => aggregation.create());
  for (let index = 0; index < eventCount; index++) {
    const entity = (index * 89) % entityCount;
    states[entity] = aggregation.add(states[entity], values[index]!, orders[index]!);
  }
  return states;
}

console.log(`${cpus()[0]?.model}, Node ${process.version}; ns per operation: best and median of ${rounds} rounds`);
console.log(
  `${"".padEnd(24)} ${"add".padStart(17)} ${"merge".padStart(17)} ${"encode".padStart(17)} ${"decode".padStart(17)} ${"finish".padStart(17)}  bytes`,
);
for (const [name, kind] of specs) {
  const aggregation = aggregationOf({ name, input: { kind, nullable: false }, n: 10, ...parameters });
  const values = Array.from({ length: eventCount }, inputs[kind]!);
  const states = fold(aggregation, values);
  const out = createByteWriter(1 << 20);
  const encodeAll = (): void => {
    out.reset();
    for (const state of states) aggregation.encode(state, out);
  };
  const add = measure(eventCount * 4, () => {
    for (let index = 0; index < 4; index++) fold(aggregation, values);
  });
  const merge = measure(entityCount * 20, () => {
    for (let index = 0; index < 20; index++) {
      let total = aggregation.create();
      for (const state of states) total = aggregation.merge(total, state);
    }
  });
  const encode = measure(entityCount * 20, () => {
    for (let index = 0; index < 20; index++) encodeAll();
  });
  const bytes = out.finish();
  const decode = measure(entityCount * 20, () => {
    for (let index = 0; index < 20; index++) {
      const input = createByteReader(bytes);
      for (let entity = 0; entity < entityCount; entity++) aggregation.decode(input);
    }
  });
  const finish = measure(entityCount * 20, () => {
    for (let index = 0; index < 20; index++) for (const state of states) aggregation.finish(state);
  });
  const size = (bytes.length / entityCount).toFixed(0);
  console.log(`${`${name} of ${kind}`.padEnd(24)} ${add} ${merge} ${encode} ${decode} ${finish}  ${size}`);
}

const payloadColumns = [
  "id",
  "account",
  "amount",
  "merchant",
  "country",
  "at",
  "online",
  "quantity",
  "balance",
  "device",
];
const hash = createPayloadHasher(
  payloadColumns.map((name) => ({ name, type: { kind: "string" as const, nullable: true } })),
);
const rows: Value[][] = orders.map((order, index) => [
  `tx_${index * 7919}`,
  `customer_${index}`,
  Math.round(random() * 100_000) / 100,
  `merchant_${index % 77}`,
  "DE",
  order.eventTime,
  index % 2 === 0,
  index % 10,
  BigInt(index) * 1000n,
  index % 3 === 0 ? null : "phone",
]);
const words = new Uint32Array(4);
const payload = measure(eventCount, () => {
  for (const row of rows) hash(row, words);
});
console.log(`${"payload hash, 10 columns".padEnd(24)} ${payload}`);
