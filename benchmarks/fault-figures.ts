import { checkOrders } from "../integration/orders/check-orders.ts";
import { declareOrders } from "../integration/orders/declarations.ts";
import { type FaultStores, openFaultStores } from "../integration/orders/fault-stores.ts";
import type { OrderProducer } from "../integration/orders/order-producer.ts";

/** What one fault left behind. */
export interface FaultFigures {
  readonly fault: string;
  readonly events: number;
  /** Produced and not in the cold store. */
  readonly lost: number;
  /** In the cold store more than once, or taken back by their producer. */
  readonly twice: number;
  /** Values that are not the oracle's, of so many. */
  readonly wrong: number;
  readonly values: number;
  /** Messages that cannot be decoded, and those set aside: each once. */
  readonly poison: number;
  readonly setAside: number;
  readonly seconds: number;
  /** More that was counted, in words. */
  readonly besides: string;
  readonly examples: readonly string[];
}

/** Compares the stores with what was produced. `since` is when the fault's run began; monotone milliseconds. */
export async function faultFigures(
  fault: string,
  producer: OrderProducer,
  stores: FaultStores,
  { since, besides = "" }: { readonly since: number; readonly besides?: string },
): Promise<FaultFigures> {
  const opened = await openFaultStores(stores);
  try {
    const { deadLetters, mismatches, ...found } = await checkOrders(
      opened,
      declareOrders(producer.stream),
      producer.produced,
    );
    const seconds = (performance.now() - since) / 1_000;
    return { fault, ...found, wrong: mismatches, poison: producer.poison, setAside: deadLetters, seconds, besides };
  } finally {
    await opened.close();
  }
}

/** Prints a table of all; an aim that is missed makes the process end with 1. */
export function reportFaults(all: readonly FaultFigures[]): void {
  const rows = [
    ["fault", "events", "lost", "twice", "values wrong", "poison set aside", "seconds", ""],
    ["aim", "", "0", "0", "0", "each once", "", ""],
    ...all.map(({ fault, events, lost, twice, wrong, values, poison, setAside, seconds, besides }) => [
      fault,
      String(events),
      String(lost),
      String(twice),
      `${wrong} of ${values}`,
      `${setAside} of ${poison}`,
      seconds.toFixed(0),
      besides,
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) {
    process.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd()}\n`,
    );
  }
  for (const { examples } of all) for (const example of examples) process.stdout.write(`  ${example}\n`);
  const missed = all.some((one) => one.lost + one.twice + one.wrong > 0 || one.setAside !== one.poison);
  if (missed) process.exitCode = 1;
}
