import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print } from "../global-options.ts";
import { keyValues } from "../key-values.ts";

interface Erasure {
  readonly entity: string;
  readonly events: number;
  readonly dead_letters: number;
  readonly predictions: number;
  readonly values: number;
  readonly other_values: number;
  readonly until: string;
  readonly pending: boolean;
}

/** Erases one entity everywhere, for good. */
export async function deleteEntity(entity: string, pairs: readonly string[], options: GlobalOptions): Promise<void> {
  const key = Object.fromEntries(keyValues(pairs));
  await using connection = await connect(await configOf(options));
  const erasure = await connection.ask<Erasure>("POST", "/v1/erasures", { entity, key });
  print(options, erasure, () =>
    [
      `Erased: ${erasure.events} events, ${erasure.values} values, ${erasure.dead_letters} dead letters, ${erasure.predictions} logged predictions.`,
      ...(erasure.other_values > 0 ? [`${erasure.other_values} values of other entities were computed anew.`] : []),
      `What was taken up to ${erasure.until} stays erased, whenever it comes.`,
      ...(erasure.pending ? ["The hot store could not follow yet: it is tried again until it is done."] : []),
    ].join("\n"),
  );
}
