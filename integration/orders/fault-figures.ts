import { checkOrders } from "./check-orders.ts";
import { declareOrders } from "./declarations.ts";
import { type FaultStores, openFaultStores } from "./fault-stores.ts";
import type { OrderProducer } from "./order-producer.ts";

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
